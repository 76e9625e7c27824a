/**
 * A client that knows section 12 of the design and nothing else of tq, against a whole `tq run`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { eventually } from "../support/fixtures.ts";
import { freePort } from "../support/free_port.ts";
import { needTest } from "../support/need.ts";
import { Project, type Servers, type Tq } from "../support/tq.ts";

const HANDLERS = {
  "app.js": `
    export const on_tq_add = (task) => { task.log("adding"); task.completed({ sum: task.data.a + task.data.b }); };
    export const on_tq_fail = (task) => task.failed("could not find transactions");
    export const on_tq_wait = (task) => new Promise((_, reject) =>
      task.signal.addEventListener("abort", () => reject(new Error("aborted"))));
  `,
};

// deno-lint-ignore no-explicit-any
type Json = any;

/** The client. */
class Client {
  readonly #base: string;
  readonly #token: string;

  constructor(base: string, token: string) {
    this.#base = base;
    this.#token = token;
  }

  /** The answer, its envelope checked. */
  async call(method: string, path: string, body?: unknown): Promise<{ code: number; answer: Json }> {
    const response = await fetch(`${this.#base}/rpc/taskqueue/${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer = await response.json();
    if (response.ok) assert.equal(answer.status, true, path);
    else {
      assert.deepEqual(Object.keys(answer).sort(), ["error", "error_code", "status"], path);
      assert.deepEqual([answer.status, answer.error_code], [false, response.status], path);
      assert.match(answer.error, /^[^\n]+$/);
    }
    return { code: response.status, answer };
  }

  async list(query = ""): Promise<Json> {
    const { code, answer } = await this.call("GET", `task${query === "" ? "" : `?${query}`}`);
    assert.equal(code, 200, `${query}: ${JSON.stringify(answer)}`);
    return answer;
  }

  async task(id: number): Promise<Json> {
    return (await this.call("GET", `task/${id}`)).answer.data;
  }

  async publish(body: unknown): Promise<number> {
    const { code, answer } = await this.call("POST", "task/publish", body);
    assert.equal(code, 200, JSON.stringify(answer));
    return answer.data.id;
  }

  async act(id: number, action: string, reason?: string): Promise<Json> {
    const { code, answer } = await this.call("POST", `task/${id}`, { action, reason });
    assert.equal(code, 200, JSON.stringify(answer));
    return answer.data;
  }

  /** The task, once it is in this state. */
  async until(id: number, state: number): Promise<Json> {
    return await eventually(async () => {
      const task = await this.task(id);
      return task.state === state && task;
    }, { what: `task ${id} in state ${state}`, within: 15_000 });
  }
}

async function connect(project: Project, tq: Tq): Promise<Client> {
  const line = await tq.logged(/http: Listening url=/);
  const token = Deno.readTextFileSync(join(project.varFolder, "api_token")).trim();
  return new Client(line.slice(line.indexOf("url=") + 4), token);
}

/** What a list shows of each task at least. */
const FIELDS =
  "id created modified started_at completed_at stale_after scheduled_for cancel_requested state state_display runtime " +
  "current_runtime channel model fname attempts data reason";

async function run(servers: Servers): Promise<void> {
  await using project = await Project.make({
    servers,
    handlers: HANDLERS,
    settings: { TQ_HTTP: `127.0.0.1:${freePort()}` },
  });
  await using tq = await project.start();
  const client = await connect(project, tq);
  const start = Math.floor(Date.now() / 1000);

  // Publishes, in today's words and in those of the original.
  const added = await client.publish({ model: "app", fname: "on_tq_add", data: { a: 3, b: 4 } });
  const failed = await client.publish({ app: "app", module: "on_tq_fail", task_data: { id: 23 } });
  const later = await client.publish({ model: "app", fname: "on_tq_add", data: { a: 1, b: 1 }, delay: 3600 });
  const waiting = await client.publish({
    model: "app",
    fname: "on_tq_wait",
    channel: "tq_hook",
    priority: 5,
  });

  // Looks at one.
  const done = await client.until(added, 10);
  for (const field of FIELDS.split(" ")) assert.ok(field in done, field);
  assert.deepEqual(
    [
      done.state_display,
      done.model,
      done.fname,
      done.channel,
      done.attempts,
      done.cancel_requested,
      done.reason,
    ],
    ["completed", "app", "on_tq_add", "tq_app_handler", 1, false, null],
  );
  assert.deepEqual([done.data, done.result], [{ a: 3, b: 4 }, { sum: 7 }]);
  for (const field of ["created", "modified", "started_at", "completed_at"]) {
    assert.ok(
      Math.abs(done[field] - start) < 120 && Number.isInteger(done[field]),
      `${field} is ${done[field]}`,
    );
  }
  assert.deepEqual([done.runtime, done.current_runtime, done.stale_after], [0, 0, null]);
  const bad = await client.until(failed, -1);
  assert.deepEqual([bad.state_display, bad.reason, bad.data], ["failed", "could not find transactions", {
    id: 23,
  }]);

  // Lists, filters, pages, sorts.
  const ids = (answer: Json) => answer.data.map((task: Json) => task.id);
  const all = await client.list();
  assert.deepEqual([all.size, all.start, all.sort, all.count, all.data.length], [25, 0, "-modified", 4, 4]);
  for (const field of FIELDS.split(" ")) assert.ok(field in all.data[0], field);
  assert.deepEqual(ids(await client.list("sort=id")), [added, failed, later, waiting]);
  assert.deepEqual(ids(await client.list("sort=-id&size=2&start=1")), [later, failed]);
  assert.deepEqual(ids(await client.list("state=failed")), [failed]);
  assert.deepEqual(ids(await client.list("state=10")), [added]);
  assert.deepEqual(ids(await client.list("state=retry_later")), [later]);
  assert.deepEqual(ids(await client.list("channel=tq_hook")), [waiting]);
  assert.deepEqual(ids(await client.list("model=app&fname=on_tq_fail")), [failed]);
  assert.deepEqual(ids(await client.list("search=TRANSACTIONS")), [failed]);
  assert.deepEqual(ids(await client.list(`search=${later}&fname=on_tq_add`)), [later]);
  const today = new Date().toISOString().slice(0, 10);
  assert.equal((await client.list(`dr_start=${today}&dr_end=${today}`)).count, 4);
  assert.equal((await client.list(`dr_start=${start - 60}&dr_end=${start + 60}`)).count, 4);
  assert.equal((await client.list(`dr_end=${start - 3600}`)).count, 0);
  assert.deepEqual((await client.list("model=nothing.Here")).data, []);

  // Reads a log.
  const log = (await client.call("GET", `task/log?task=${added}`)).answer;
  const line = log.data.find((row: Json) => row.text === "adding");
  assert.deepEqual(Object.keys(line).sort(), ["created", "id", "kind", "text"]);
  assert.ok(Math.abs(line.created - start) < 120);

  // Cancels one that waits, and one that runs.
  const canceled = await client.act(later, "cancel", "wrong month");
  assert.deepEqual([canceled.state, canceled.reason], [-2, "wrong month"]);
  const running = await client.until(waiting, 1);
  assert.ok(running.current_runtime >= 0 && running.runtime === 0);
  const asked = await client.act(waiting, "cancel");
  assert.equal(asked.cancel_requested || asked.state === -2, true);
  assert.equal((await client.until(waiting, -2)).state_display, "canceled");

  // Runs one again.
  const again = await client.act(failed, "retry_now");
  assert.deepEqual([again.reason, again.cancel_requested], [null, false]);
  assert.equal((await client.until(failed, -1)).attempts, 1);

  // Counts.
  const status = (await client.call("GET", "task/status?minutes_back=60")).answer.data;
  assert.deepEqual(
    [status.retry, status.completed, status.failed, status.running, status.backlog, status.total],
    [0, 1, 1, 0, 0, 4],
  );
  assert.ok(status.last_completed >= start - 1 && status.last_scheduled >= start - 1);
  const stats = (await client.call("GET", "task/stats?days=7")).answer.data;
  assert.deepEqual(stats.status, { retry: 0, completed: 1, failed: 1, running: 0, backlog: 0 });
  assert.equal(stats.stats.length, 7);
  const sum = (field: string) => stats.stats.reduce((total: number, day: Json) => total + day[field], 0);
  assert.deepEqual([sum("completed"), sum("failed")], [1, 1]);
  const midnight = Date.parse(today) / 1000;
  assert.equal(stats.stats.at(-1).day - stats.stats[0].day, 6 * 86_400);
  assert.ok([midnight, midnight + 86_400].includes(stats.stats.at(-1).day));
  assert.ok(Number.isInteger(sum("longest")));

  // Publishes test tasks.
  const test = (await client.call("POST", "test", { test_count: 3, sleep_time: 0.01 })).answer.data;
  assert.equal(test.ids.length, 3);
  for (const id of test.ids) await client.until(id, 10);

  // Restarts the engine, which goes on.
  const [before] = await tq.engines();
  assert.equal((await client.call("POST", "restart")).code, 200);
  await tq.logged(/ Engine is ready /, { count: 2, within: 30_000 });
  const after = await client.publish({ model: "app", fname: "on_tq_add", data: { a: 1, b: 2 } });
  assert.deepEqual((await client.until(after, 10)).result, { sum: 3 });
  await eventually(async () => (await tq.engines()).every(({ pid }) => pid !== before!.pid), {
    what: "the end of the old engine",
    within: 20_000,
  });

  // Errors have the envelope, which `call` checks.
  for (
    const [method, path, body, code] of [
      ["GET", "task/999999", undefined, 404],
      ["POST", "task/999999", { action: "cancel" }, 404],
      ["POST", "task/999999", { action: "retry_now" }, 404],
      ["GET", "task/log?task=999999", undefined, 404],
      ["GET", "task/log", undefined, 400],
      ["GET", "task/abc", undefined, 400],
      ["GET", "task?size=0", undefined, 400],
      ["GET", "task?size=1001", undefined, 400],
      ["GET", "task?start=-1", undefined, 400],
      ["GET", "task?sort=nothing", undefined, 400],
      ["GET", "task?state=nothing", undefined, 400],
      ["GET", "task?dr_start=yesterday", undefined, 400],
      ["GET", "task/status?minutes_back=x", undefined, 400],
      ["GET", "task/stats?days=0", undefined, 400],
      ["POST", `task/${added}`, { action: "explode" }, 400],
      ["POST", `task/${added}`, {}, 400],
      ["POST", `task/${added}`, { action: "cancel" }, 400],
      ["POST", "task/publish", { fname: "x" }, 400],
      ["POST", "task/publish", { model: "app" }, 400],
      ["POST", "task/publish", { model: "../etc/passwd", fname: "x" }, 400],
      ["POST", "task/publish", { model: "app", fname: "x", data: [1] }, 400],
      ["POST", "task/publish", { model: "app", fname: "x", priority: 101 }, 400],
      ["POST", "test", { test_count: 0 }, 400],
      ["GET", "nothing", undefined, 404],
      ["DELETE", `task/${added}`, undefined, 405],
    ] as const
  ) {
    const { answer } = await client.call(method, path, body);
    assert.equal(answer.error_code, code, `${method} ${path}: ${JSON.stringify(answer)}`);
  }
  await tq.stop();
}

needTest(["postgres", "redis"], "client: all of section 12, with Redis", () => run("redis"));
needTest(["postgres"], "client: all of section 12, without Redis", () => run("postgres"));
Deno.test("client: all of section 12, on the embedded database", () => run("embedded"));
