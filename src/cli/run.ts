/**
 * `tq run`
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import { need, type Settings } from "../settings.ts";
import { describe, TqError } from "../errors.ts";
import type { AddCommand } from "./add_command.ts";
import type { Serve } from "../supervisor/serving.ts";
import { prepare } from "./context.ts";
import { plain } from "./output.ts";

interface Flags {
  processes?: string;
  workers?: string;
  subscribe?: string;
  migrate: boolean;
  daemon?: true;
}

/** Adds the command. */
export const addRun: AddCommand = (program, exit) => {
  const command = program.command("run")
    .description("run the engine in the foreground (systemd, containers); its log goes to stderr")
    .option("--processes <number>", "engine processes (TQ_PROCESSES)")
    .option("--workers <number>", "tasks at once in one of them (TQ_WORKERS)")
    .option("--subscribe <channels>", "channels to take tasks from (TQ_SUBSCRIBE)")
    .option("--no-migrate", "leave the schema as it is")
    .addHelpText("after", "\nExample:\n  tq run --processes 2 --workers 20")
    .action(async (flags: Flags) => exit(await run(flags)));
  command.addOption(command.createOption("--daemon", "as started by tq start").hideHelp());
};

async function run(flags: Flags): Promise<number> {
  let write = (line: string) => console.error(plain(line));
  let reopenLog = () => {};
  const settings = await prepare({
    TQ_PROCESSES: flags.processes,
    TQ_WORKERS: flags.workers,
    TQ_SUBSCRIBE: flags.subscribe,
  }, { write: (line) => write(line), quiet: false });
  const varFolder = need(settings.varFolder, "var");
  const [{ Supervisor }, { PidFile }, { reexec, takeLegacy }, notify, { logger }] = await Promise.all([
    import("../supervisor/supervisor.ts"),
    import("../supervisor/pidfile.ts"),
    import("../supervisor/reexec.ts"),
    import("../supervisor/notify.ts"),
    import("../log.ts"),
  ]);
  const legacy = takeLegacy();
  const notifyAddress = notify.takeNotifyAddress(legacy?.notify);
  using pidFile = legacy === undefined
    ? await PidFile.takeSoon(varFolder)
    : PidFile.adopt(varFolder, legacy.lock);
  using stack = new DisposableStack();
  // A daemon is nobody's service: who listened did so to the command that started it.
  const notifier = stack.use(flags.daemon ? undefined : notify.makeNotifier(notifyAddress));
  if (flags.daemon) {
    const [{ LogFile, logPath }, { leaveTerminal }] = await Promise.all([
      import("../supervisor/log_file.ts"),
      import("../posix.ts"),
    ]);
    leaveTerminal();
    const log = stack.use(new LogFile(logPath(varFolder)));
    write = (line) => log.write(line);
    reopenLog = () => log.reopen();
  }
  // Whoever listens to nothing is ended by it, as a script that rotates logs would end a tq in the foreground.
  Deno.addSignalListener("SIGUSR2", () => reopenLog());
  for (const { name, nearest } of settings.unknown) {
    logger("settings").warn("Unknown setting in the environment", { name, meant: nearest });
  }
  const supervisor = new Supervisor({
    settings,
    migrate: flags.migrate,
    writeLine: (line) => write(line),
    notifier,
    serve: await serveOf(settings, flags),
    ...(legacy === undefined ? {} : { oldEngines: legacy.engines }),
    replaceProcess: (engines) =>
      reexec(need(settings.root, "root"), ["run", ...argumentsOf(flags)], {
        lock: pidFile.keepThroughExec(),
        engines,
        notify: notifier?.address,
      }),
  });
  const ended = stopOnSignal(
    () => supervisor.stop(settings.TQ_DRAIN_TIMEOUT),
    () => supervisor.killEngines(),
  );
  Deno.addSignalListener("SIGHUP", () => void supervisor.reload());
  supervisor.ended.then(ended.stop);
  try {
    await supervisor.start();
  } catch (error) {
    if (!ended.asked()) {
      if (!flags.daemon) throw error;
      write(`tq: ${describe(error)}`);
      return error instanceof TqError ? error.exitCode : 1;
    }
  }
  await ended.promise;
  return 0;
}

/** How HTTP is served on these settings; loaded only where it is. */
async function serveOf(settings: Settings, { daemon }: Flags): Promise<Serve | undefined> {
  const { TQ_HTTP: address } = settings;
  if (address === undefined) return undefined;
  const [{ HttpServer }, { checkReach }] = await Promise.all([
    import("../http/server.ts"),
    import("../http/access.ts"),
  ]);
  // One line, before anything is begun. A daemon says it in its log, where `tq start` looks: when it starts to serve.
  if (!daemon) checkReach(settings);
  return (served) => HttpServer.start(settings, address, served);
}

/** The arguments that these flags came from. */
function argumentsOf(flags: Flags): string[] {
  const { processes, workers, subscribe, migrate, daemon } = flags;
  return [
    ...(processes === undefined ? [] : ["--processes", processes]),
    ...(workers === undefined ? [] : ["--workers", workers]),
    ...(subscribe === undefined ? [] : ["--subscribe", subscribe]),
    ...(migrate ? [] : ["--no-migrate"]),
    ...(daemon ? ["--daemon"] : []),
  ];
}

/** Stops once at TERM or INT; at a second INT, at once. */
function stopOnSignal(
  stop: () => Promise<void>,
  kill: () => void,
): { promise: Promise<void>; stop(): void; asked(): boolean } {
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
  return { promise, stop: first, asked: () => asked };
}
