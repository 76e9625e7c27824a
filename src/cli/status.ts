/**
 * `tq status`
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import { need } from "../settings.ts";
import type { AddCommand } from "./add_command.ts";
import type { SupervisorStatus } from "../supervisor/status_file.ts";
import { openStore, prepare } from "./context.ts";
import { describe } from "../errors.ts";
import { durationText, oneLine, paint, print, printJson, relativeText } from "./output.ts";

/** What the record says. */
interface RecordStatus {
  readonly reachable: boolean;
  /** Why it is not. */
  readonly problem: string | null;
  /** Ready tasks by channel, counted up to just above 10,000. */
  readonly backlog: Readonly<Record<string, number>>;
}

/** Adds the command. */
export const addStatus: AddCommand = (program, exit) => {
  program.command("status")
    .description("tell how the engine does; exit 1 when it does not run")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  tq status")
    .action(async (flags: { json?: true }) => {
      const settings = await prepare();
      const [{ PidFile }, { readStatus }] = await Promise.all([
        import("../supervisor/pidfile.ts"),
        import("../supervisor/status_file.ts"),
      ]);
      const varFolder = need(settings.varFolder, "var");
      const pid = PidFile.holder(varFolder);
      const told = await readStatus(varFolder);
      const supervisor = pid === undefined || told?.pid !== pid ? null : told;
      const record = await readRecord(settings);
      if (flags.json) printJson({ running: pid !== undefined, pid: pid ?? null, supervisor, record });
      else print(statusText(pid, supervisor, record));
      if (pid === undefined) exit(1);
    });
};

async function readRecord(settings: Awaited<ReturnType<typeof prepare>>): Promise<RecordStatus> {
  try {
    await using store = await openStore(settings);
    const counts = await store.readyCounts(await store.activeChannels());
    return { reachable: true, problem: null, backlog: Object.fromEntries(counts) };
  } catch (error) {
    return { reachable: false, problem: describe(error), backlog: {} };
  }
}

function statusText(
  pid: number | undefined,
  supervisor: SupervisorStatus | null,
  record: RecordStatus,
): string {
  const now = systemClock.now();
  const lines: string[] = [];
  const add = (name: string, text: string) => lines.push(`${paint.dim(name.padEnd(11))}${text}`);
  if (pid === undefined) add("engine", paint.red("does not run"));
  else if (supervisor === null) add("engine", `process ${pid} is starting`);
  else {
    const since = durationText((now - Date.parse(supervisor.started)) / 1000);
    add("engine", `${paint.green("runs")} as process ${pid} for ${since}, version ${supervisor.version}`);
    add("commit", supervisor.commit ?? "not a git checkout");
    for (const { pid, commit, state, status } of supervisor.engines) {
      const running = status === null ? "" : `, ${status.running} running`;
      const rss = status === null ? "" : `, ${Math.round(status.rss / 1024 / 1024)} MB`;
      // One that starts has not told its commit.
      const other = commit === null || commit === supervisor.commit ? "" : `, commit ${commit}`;
      add("", `process ${pid} ${state}${running}${rss}${other}`);
    }
    const { refresh, trouble } = supervisor;
    if (trouble !== null) add("trouble", paint.red(oneLine(trouble)));
    if (refresh !== null) {
      const what = refresh.outcome === "taken"
        ? "taken"
        : paint.red(`refused: ${oneLine(refresh.reason ?? "")}`);
      add("refresh", `${relativeText(new Date(refresh.at), now)}, ${refresh.commit ?? "no commit"} ${what}`);
    }
    add("dispatch", supervisor.dispatch);
    if (supervisor.http !== undefined) add("http", supervisor.http ?? paint.red("its address is taken"));
    add("upkeep", supervisor.leader ? "this is the leader" : "another supervisor leads");
  }
  add("record", record.reachable ? "reachable" : paint.red(oneLine(record.problem ?? "unreachable")));
  if (!record.reachable) return lines.join("\n");
  const backlog = Object.entries(record.backlog).filter(([, ready]) => ready > 0);
  add(
    "backlog",
    backlog.length === 0
      ? "none"
      : backlog.map(([name, ready]) => `${oneLine(name)} ${countText(ready)}`).join(", "),
  );
  return lines.join("\n");
}

function countText(count: number): string {
  return count > 10_000 ? "over 10,000" : String(count);
}
