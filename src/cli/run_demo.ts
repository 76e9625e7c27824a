/**
 * The demo: the main job, through the same code that a user runs, on an embedded database of its own under `var`.
 *
 * @module
 */

import { join } from "node:path";
import { systemClock } from "../clock.ts";
import { loadSettings, need } from "../config.ts";
import { messageOf } from "../errors.ts";
import { configureLog, disposeLog } from "../log.ts";
import { TaskQueue } from "../publish/queue.ts";
import { stopEmbedded } from "../store/embedded.ts";
import { Supervisor } from "../supervisor/supervisor.ts";
import { State, STATE_DISPLAY, type TaskRecord, TERMINAL_STATES } from "../task.ts";
import { durationText, oneLine, paint, print, runtimeSeconds, statePaint, stateText } from "./output.ts";
import { type Column, table } from "./table.ts";

/** A task of the demo, and how it should end. */
interface Scene {
  readonly what: string;
  readonly state: State;
  readonly attempts: number;
  publish(queue: TaskQueue, url: string): Promise<number>;
}

const SCENES: readonly Scene[] = [
  {
    what: "succeeds",
    state: State.completed,
    attempts: 1,
    publish: (queue) => queue.publish("demo.Report", "on_tq_run_summary", { id: 22, kind: "HOURLY" }),
  },
  {
    what: 'calls task.failed("could not find transactions")',
    state: State.failed,
    attempts: 1,
    publish: (queue) => queue.publish("demo.Report", "on_tq_find_transactions", { id: 23 }),
  },
  {
    what: "throws once, succeeds on its retry",
    state: State.completed,
    attempts: 2,
    publish: (queue) => queue.publish("demo.Report", "on_tq_flaky", { id: 24 }),
  },
  {
    what: "a web request",
    state: State.completed,
    attempts: 1,
    publish: (queue, url) => queue.webRequest(url, { report: 22 }),
  },
];

/** Every task must have ended by then, milliseconds. */
const DEADLINE = 30_000;

/** Runs the demo; 0 when every task ended as it should. */
export async function runDemo(): Promise<number> {
  const base = loadSettings({ environment: withoutServers() });
  const varFolder = join(need(base.varFolder, "var"), "demo");
  await Deno.mkdir(varFolder, { recursive: true });
  const settings = loadSettings({
    environment: {},
    flags: { TQ_ROOT: base.root, TQ_VAR: varFolder, TQ_PROCESSES: 1 },
  });
  const logPath = join(varFolder, "demo.log");
  const write = (line: string) => Deno.writeTextFileSync(logPath, line + "\n", { append: true });
  await configureLog({ level: "info", format: "text", write });
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, answer);
  const supervisor = new Supervisor({ settings, writeLine: write });
  try {
    print(paint.dim("Starting the supervisor, one engine and an embedded database…"));
    await supervisor.start();
    await using queue = new TaskQueue(settings);
    const url = `http://127.0.0.1:${server.addr.port}/hook`;
    const ids: number[] = [];
    for (const scene of SCENES) {
      const id = await scene.publish(queue, url);
      ids.push(id);
      print(`published  task ${id}  ${paint.dim(scene.what)}`);
    }
    const tasks = await follow(queue, ids);
    print("");
    print(await resultTable(tasks));
    const wrong = tasks.filter((task, i) =>
      task.state !== SCENES[i]?.state || task.attempts !== SCENES[i]?.attempts
    );
    for (const task of wrong) print(paint.red(`task ${task.id} did not end as it should; see ${logPath}`));
    if (wrong.length === 0) print(byHand());
    return wrong.length === 0 ? 0 : 1;
  } catch (error) {
    print(paint.red(`The demo did not work: ${messageOf(error)}; see ${logPath}`));
    return 1;
  } finally {
    await supervisor.stop(2);
    await server.shutdown();
    await stopEmbedded(varFolder);
    await disposeLog();
  }
}

/** The receiver of the demo's web request. */
function answer(request: Request): Response {
  return Response.json({ received: new URL(request.url).pathname });
}

function withoutServers(): Record<string, string> {
  const { TQ_DATABASE_URL: _1, DATABASE_URL: _2, TQ_REDIS_URL: _3, REDIS_URL: _4, ...rest } = Deno.env
    .toObject();
  return rest;
}

/** Prints every change of state until all tasks have ended; returns them. */
async function follow(queue: TaskQueue, ids: readonly number[]): Promise<TaskRecord[]> {
  const seen = new Map<number, State>();
  const until = systemClock.monotonic() + DEADLINE;
  for (;;) {
    const found = await Promise.all(ids.map((id) => queue.get(id)));
    const tasks = found.filter((task) => task !== undefined);
    for (const task of tasks) {
      if (seen.get(task.id) === task.state) continue;
      seen.set(task.id, task.state);
      const why = task.reason === null ? "" : `  ${paint.dim(oneLine(task.reason))}`;
      print(
        `${stateText(task.state)}${" ".repeat(13 - STATE_DISPLAY[task.state].length)}task ${task.id}${why}`,
      );
    }
    const ended = tasks.every((task) => TERMINAL_STATES.includes(task.state));
    if (ended || systemClock.monotonic() > until) return tasks;
    await systemClock.sleep(25);
  }
}

const COLUMNS: readonly Column[] = [
  { head: "ID" },
  { head: "HANDLER", least: 28 },
  { head: "STATE" },
  { head: "ATTEMPTS", goes: 2 },
  { head: "RUNTIME", goes: 1 },
  { head: "REASON", least: 16, goes: 3 },
];

function resultTable(tasks: readonly TaskRecord[]): Promise<string> {
  const rows = tasks.map((task) => [
    String(task.id),
    `${task.model} ${task.fname}`,
    { text: STATE_DISPLAY[task.state], paint: statePaint(task.state) },
    String(task.attempts),
    durationText(runtimeSeconds(task, systemClock.now())),
    task.reason ?? "",
  ]);
  return table(COLUMNS, rows);
}

function byHand(): string {
  const tq = Deno.build.standalone ? "tq" : "deno task tq";
  return `
The same by hand, in two terminals:
  ${tq} run
  ${tq} publish demo.Report on_tq_run_summary '{"id": 22, "kind": "HOURLY"}' --wait
Then look around:
  ${tq} tasks
  ${tq} task 1
  ${tq} handlers`;
}
