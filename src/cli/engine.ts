/**
 * `tq engine` (hidden): an engine process, started by a supervisor.
 *
 * @module
 */

import { systemClock, within } from "../clock.ts";
import { describe, InputError, messageOf } from "../errors.ts";
import type { AddCommand } from "./add_command.ts";
import { prepare } from "./context.ts";

/** Adds the command. */
export const addEngine: AddCommand = (program, exit) => {
  program.command("engine", { hidden: true })
    .description("an engine process, started by a supervisor")
    .action(async () => exit(await runEngine()));
};

async function runEngine(): Promise<number> {
  const token = Deno.env.get("TQ_INTERNAL_TOKEN");
  if (token === undefined) {
    throw new InputError("an engine is started by a supervisor", { remedy: "use tq run" });
  }
  // Handlers have no business with it.
  Deno.env.delete("TQ_INTERNAL_TOKEN");
  const { linesOf, SupervisorLink } = await import("../engine/protocol.ts");
  const link = new SupervisorLink(token);
  let orphaned = () => {};
  const settings = await prepare({}, {
    quiet: false,
    write: (line) => {
      if (!link.send({ type: "log", line })) orphaned();
    },
  });
  // The terminal's Ctrl-C reaches the whole process group: the supervisor tells when to end.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) Deno.addSignalListener(signal, () => {});
  const { Engine } = await import("../engine/engine.ts");
  const { need } = await import("../config.ts");
  const engine = new Engine(settings);
  const end = Promise.withResolvers<number>();
  const drain = (seconds: number | null) => {
    engine.drain(seconds).then(() => end.resolve(0), (error) => {
      link.send({ type: "log", line: `drain failed: ${messageOf(error)}` });
      end.resolve(1);
    });
  };
  orphaned = () => drain(settings.TQ_DRAIN_TIMEOUT);
  const listen = async () => {
    for await (const line of linesOf(Deno.stdin.readable)) {
      const message: import("../engine/protocol.ts").ToEngine = JSON.parse(line);
      if (message.type === "drain") drain(message.seconds);
      else if (message.type === "cancel") engine.cancel(message.ids);
      else engine.reconcile(message.rows);
    }
    // The supervisor is gone.
    orphaned();
  };
  try {
    const ready = await engine.start(need(settings.varFolder, "var"));
    link.send({ type: "ready", ...ready });
  } catch (error) {
    link.send({ type: "refused", reason: describe(error) });
    return 1;
  }
  listen();
  return await alive(end.promise);
}

/** Waits in a way that keeps the process alive although a handler may have closed or unreferenced everything else. */
async function alive(promise: Promise<number>): Promise<number> {
  for (;;) {
    const code = await within(systemClock, 60_000, promise);
    if (code !== undefined) return code;
  }
}
