/**
 * `tq run`
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import type { AddCommand } from "./add_command.ts";
import { prepare } from "./context.ts";
import { plain } from "./output.ts";

/** Adds the command. */
export const addRun: AddCommand = (program) => {
  program.command("run")
    .description("run the engine in the foreground (systemd, containers); its log goes to stderr")
    .option("--processes <number>", "engine processes (TQ_PROCESSES)")
    .option("--workers <number>", "tasks at once in one of them (TQ_WORKERS)")
    .option("--subscribe <channels>", "channels to take tasks from (TQ_SUBSCRIBE)")
    .option("--no-migrate", "leave the schema as it is")
    .addHelpText("after", "\nExample:\n  tq run --processes 2 --workers 20")
    .action(async (flags: { processes?: string; workers?: string; subscribe?: string; migrate: boolean }) => {
      const write = (line: string) => console.error(plain(line));
      const settings = await prepare({
        TQ_PROCESSES: flags.processes,
        TQ_WORKERS: flags.workers,
        TQ_SUBSCRIBE: flags.subscribe,
      }, { write, quiet: false });
      const { logger } = await import("../log.ts");
      for (const { name, nearest } of settings.unknown) {
        logger("settings").warn("Unknown setting in the environment", { name, meant: nearest });
      }
      const { Supervisor } = await import("../supervisor/supervisor.ts");
      const supervisor = new Supervisor({ settings, migrate: flags.migrate, writeLine: write });
      const ended = stopOnSignal(
        () => supervisor.stop(settings.TQ_DRAIN_TIMEOUT),
        () => supervisor.killEngines(),
      );
      try {
        await supervisor.start();
      } catch (error) {
        if (!ended.asked()) throw error;
      }
      await ended.promise;
    });
};

/** Stops once at TERM or INT; at a second INT, at once. */
function stopOnSignal(
  stop: () => Promise<void>,
  kill: () => void,
): { promise: Promise<void>; asked(): boolean } {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let asked = false;
  const first = () => {
    if (asked) return;
    asked = true;
    stop().then(resolve, reject);
  };
  Deno.addSignalListener("SIGTERM", first);
  Deno.addSignalListener("SIGINT", () => {
    if (asked) kill();
    else first();
  });
  // A pending promise alone does not keep a process alive while signals are all it waits for.
  const alive = () => void systemClock.after(60_000, alive);
  alive();
  return { promise, asked: () => asked };
}
