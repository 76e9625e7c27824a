/**
 * `tq engine` (hidden): an engine process, started by a supervisor.
 *
 * @module
 */

import { join } from "node:path";
import { systemClock, within } from "../clock.ts";
import type { SupervisorLink } from "../engine/protocol.ts";
import { CodeChangedError, describe, InputError, messageOf, UnreachableError } from "../errors.ts";
import type { AddCommand } from "./add_command.ts";
import { prepare } from "./context.ts";

/** An engine whose supervisor is being replaced waits this long to be told to end, milliseconds. */
const HANDOVER_LIMIT = 30_000;
/**
 * How often an engine tells what it has counted, milliseconds: as much is lost of what a killed one did. One that had
 * nothing to tell looks seldom: each wake takes an idle process 0.2 ms (2026-11-28).
 */
const COUNTED_EVERY = { atWork: 1000, idle: 5000 };

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
  const only = Deno.env.get("TQ_INTERNAL_ONLY");
  Deno.env.delete("TQ_INTERNAL_ONLY");
  const strict = Deno.env.get("TQ_INTERNAL_STRICT") !== undefined;
  Deno.env.delete("TQ_INTERNAL_STRICT");
  const { SupervisorLink } = await import("../engine/protocol.ts");
  const link = new SupervisorLink(token);
  try {
    return await serve(link, only === undefined ? undefined : Number(only), strict);
  } catch (error) {
    const passing = error instanceof UnreachableError || error instanceof CodeChangedError;
    link.send({ type: "refused", reason: describe(error), passing });
    return 1;
  }
}

/** Runs an engine to its end. Throws when it cannot start. */
async function serve(link: SupervisorLink, only: number | undefined, strict: boolean): Promise<number> {
  const [{ linesOf }, { need }, { logger }] = await Promise.all([
    import("../engine/protocol.ts"),
    import("../config.ts"),
    import("../log.ts"),
  ]);
  let orphaned = () => {};
  let handover = false;
  let logFile = "";
  const write = (line: string) => {
    if (link.send({ type: "log", line })) return;
    // The supervisor is gone, and with it whoever wrote the log.
    try {
      if (logFile !== "") Deno.writeTextFileSync(logFile, line + "\n", { append: true, create: true });
    } catch {
      // A full disk: nobody is left to be told.
    }
    if (!handover) orphaned();
  };
  const settings = await prepare({}, { quiet: false, write });
  const varFolder = need(settings.varFolder, "var");
  logFile = join(varFolder, "tq_worker.log");
  // The terminal's Ctrl-C reaches the whole process group: the supervisor tells when to end.
  for (const signal of ["SIGINT", "SIGHUP"] as const) Deno.addSignalListener(signal, () => {});
  let isTold = false;
  Deno.addSignalListener("SIGTERM", () => {
    // From the new supervisor: it takes tasks by now; and when it comes again, it is about to end itself.
    if (handover && isTold) drain(settings.TQ_DRAIN_TIMEOUT);
    else if (handover) orphaned();
    isTold = true;
  });
  const { Engine } = await import("../engine/engine.ts");
  const { keepAliveOnStrayErrors } = await import("../engine/stray_errors.ts");
  const engine = new Engine(settings);
  keepAliveOnStrayErrors();
  const end = Promise.withResolvers<number>();
  const drain = (seconds: number | null) => {
    engine.drain(seconds).then(() => end.resolve(0), (error) => {
      link.send({ type: "log", line: `drain failed: ${messageOf(error)}` });
      end.resolve(1);
    });
  };
  // Its tasks end by themselves: nobody hurries an engine that nobody waits for.
  orphaned = () => {
    orphaned = () => {};
    // A supervisor that was killed says nothing itself; one that was replaced does.
    if (!handover) {
      logger("engine").warn("Cannot reach the supervisor; this engine ends what it runs", { pid: Deno.pid });
    }
    engine.beatAlone();
    drain(null);
  };
  const listen = async () => {
    for await (const line of linesOf(Deno.stdin.readable, "")) {
      const message: import("../engine/protocol.ts").ToEngine = JSON.parse(line);
      if (message.type === "drain") drain(message.seconds);
      else if (message.type === "handover") handover = true;
      else if (message.type === "cancel") engine.cancel(message.ids);
      else {
        engine.reconcile(message.rows).catch((error) => write(`cannot reconcile: ${messageOf(error)}`));
        // Unheard it must not go on: a handler may have closed stdout.
        if (!link.send({ type: "status", ...engine.status })) orphaned();
      }
    }
  };
  const ready = await engine.start(varFolder, { claims: only === undefined, strict });
  link.send({ type: "ready", ...ready });
  const tellCounted = () => {
    const counted = engine.takeCounted();
    if (counted !== undefined) link.send({ type: "counted", ...counted });
    return counted !== undefined;
  };
  const telling = () => {
    systemClock.after(tellCounted() ? COUNTED_EVERY.atWork : COUNTED_EVERY.idle, telling);
  };
  telling();
  // However that ends, nobody speaks to this engine any more.
  listen().catch((error) =>
    link.send({ type: "log", line: `cannot read from the supervisor: ${messageOf(error)}` })
  )
    .finally(() => {
      if (!handover) return orphaned();
      engine.beatAlone();
      systemClock.after(HANDOVER_LIMIT, () => orphaned());
    });
  if (only !== undefined) {
    engine.runOnly(only).then(() => {
      link.send({ type: "status", ...engine.status });
      end.resolve(0);
    }, (error) => {
      write(`cannot run a suspect: ${messageOf(error)}`);
      drain(0);
    });
  }
  const code = await alive(end.promise);
  tellCounted();
  return code;
}

/** Waits in a way that keeps the process alive although a handler may have closed or unreferenced everything else. */
async function alive(promise: Promise<number>): Promise<number> {
  for (;;) {
    const code = await within(systemClock, 60_000, promise);
    if (code !== undefined) return code;
  }
}
