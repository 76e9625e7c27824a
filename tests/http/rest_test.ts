/**
 * REST, beyond what a client of section 12 does: see `client_test.ts` for that.
 *
 * @module
 */

import assert from "node:assert/strict";
import { UnreachableError } from "../../src/errors.ts";
import type { HttpParts } from "../../src/http/parts.ts";
import { restRoutes } from "../../src/http/rest.ts";
import { Store } from "../../src/store/mod.ts";
import { State } from "../../src/task.ts";
import { captureLog } from "../support/capture_log.ts";
import { needTest } from "../support/need.ts";
import { MANAGE, raw, STATUS, WebSite } from "./site.ts";

const NEEDS = ["postgres"] as const;

/** What the routes say they answer. */
const ROUTES = restRoutes({ settings: { TQ_REDACT: [] } } as unknown as HttpParts);

/** Checks an answer against what its route is documented to give. */
function documented(method: string, path: string, body: unknown): void {
  const route = ROUTES.find((one) => one.method === method && one.path === path);
  assert.ok(route !== undefined, path);
  assert.deepEqual(route.answer.parse(body), body, path);
}

needTest(NEEDS, "every answer is what the documentation says it is", async () => {
  await using site = await WebSite.make();
  const ids = await site.queue.publishMany(
    [1, 2, 3].map(() => ({ model: "app", fname: "x", data: { a: [1] } })),
  );
  await site.record.run(
    `update :schema.tasks set state = 10, started_at = now() - interval '3.7 s', completed_at = now(), result = '[1]',
       progress = 0.5, engine_id = gen_random_uuid() where id = ${ids[0]}`,
  );
  await site.record.run(`insert into :schema.task_logs (task_id, text) values (${ids[0]}, 'x')`);
  documented("GET", "/task", (await site.ask("/task")).body);
  documented("GET", "/task/{id}", (await site.ask(`/task/${ids[0]}`)).body);
  documented("GET", "/task/log", (await site.ask(`/task/log?task=${ids[0]}`)).body);
  documented("GET", "/task/status", (await site.ask("/task/status")).body);
  documented("GET", "/task/stats", (await site.ask("/task/stats")).body);
  documented("POST", "/task/{id}", (await site.post(`/task/${ids[1]}`, { action: "cancel" })).body);
  documented("POST", "/task/publish", (await site.post("/task/publish", { model: "app", fname: "x" })).body);
  documented("POST", "/test", (await site.post("/test", { test_count: 2 })).body);
  documented("POST", "/restart", (await site.post("/restart", {})).body);
  assert.equal(ROUTES.length, 9, "one more to be tried here");
});

needTest(NEEDS, "runtime is that of the last run, in whole seconds", async () => {
  await using site = await WebSite.make();
  const id = await site.queue.publish("app", "x");
  const show = async (state: number, times: string) => {
    await site.record.run(`update :schema.tasks set state = ${state}, ${times} where id = ${id}`);
    const { runtime, current_runtime, run_seconds } = (await site.ask(`/task/${id}`)).body.data;
    return [runtime, current_runtime, run_seconds === null ? null : Math.round(run_seconds)];
  };
  const ran = "started_at = now() - interval '100 s', completed_at = now() - interval '97.3 s'";
  assert.deepEqual(await show(0, "started_at = null"), [0, 0, null]);
  const [runtime, current] = await show(1, "started_at = now() - interval '5.5 s'");
  assert.ok(runtime === 0 && Number(current) >= 5 && Number(current) < 60);
  for (const state of [10, -1, -2]) assert.deepEqual(await show(state, ran), [2, 2, 3]);
  const waits =
    "started_at = now() - interval '9.5 s', completed_at = null, modified = now() - interval '1 s'";
  assert.deepEqual(await show(2, waits), [8, 8, 9].map((n, i) => i === 2 ? Math.round(8.5) : n));
});

needTest(NEEDS, "a task is published with every option, from JSON and from a form", async () => {
  await using site = await WebSite.make();
  const options = {
    channel: "mail",
    delay: 60,
    priority: -5,
    max_attempts: 2,
    timeout: 7,
    stale_after: 90.5,
    key: "k",
    unique: "u",
  };
  const body = { model: "shop.Invoice", fname: "on_tq_total", data: { prices: [3, 4] }, ...options };
  const json = (await site.post("/task/publish", body)).body.data;
  const form = new URLSearchParams({
    ...Object.fromEntries(Object.entries(options).map(([name, value]) => [name, String(value)])),
    app: "shop.Invoice",
    module: "on_tq_total",
    task_data: JSON.stringify({ prices: [3, 4] }),
    key: "k2",
    unique: "u2",
    at: "",
  });
  const other = (await site.ask("/task/publish", { method: "POST", body: form })).body.data;
  for (const task of [json, other]) {
    assert.deepEqual(
      [task.model, task.fname, task.data, task.channel, task.state_display, task.priority, task.max_attempts],
      ["shop.Invoice", "on_tq_total", { prices: [3, 4] }, "mail", "retry_later", -5, 2],
    );
    assert.deepEqual([task.timeout_seconds, task.scheduled_for - task.created], [7, 60]);
    assert.ok([90, 91].includes(task.stale_after - task.created));
  }
  // The same key and the same unique key give the first task.
  assert.equal((await site.post("/task/publish", body)).body.data.id, json.id);
  assert.equal((await site.post("/task/publish", { ...body, key: undefined })).body.data.id, json.id);
  const at = { model: "app", fname: "x", at: "2030-01-01T00:00:00Z" };
  assert.equal((await site.post("/task/publish", at)).body.data.scheduled_for, Date.UTC(2030, 0, 1) / 1000);
  // curl -d calls JSON a form.
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  assert.equal((await site.post("/task/publish", { model: "app", fname: "x" }, { headers })).status, 200);
});

needTest(NEEDS, "an option that is not known is refused; those of the library are", async () => {
  await using site = await WebSite.make();
  const publish = (more: object) => site.post("/task/publish", { model: "app", fname: "x", ...more });
  const cases: readonly (readonly [object, string])[] = [
    [{ max_attempt: 2 }, 'there is no field "max_attempt": did you mean max_attempts?'],
    [{ stale_aftr: 2, timeout: 1 }, 'there is no field "stale_aftr": did you mean stale_after?'],
    [{ colour: "red" }, 'there is no field "colour": see the documentation'],
  ];
  for (const [more, error] of cases) {
    assert.deepEqual((await publish(more)).body, { status: false, error, error_code: 400 });
  }
  const form = new URLSearchParams({ model: "app", fname: "x", prioritty: "3" });
  const answer = await site.ask("/task/publish", { method: "POST", body: form });
  assert.equal(answer.body.error, 'there is no field "prioritty": did you mean priority?');
  assert.equal(await site.record.count(), 0);
  const { data } = (await publish({ maxAttempts: 3, staleAfter: 60 })).body;
  assert.deepEqual([data.max_attempts, data.stale_after - data.created], [3, 60]);
});

needTest(
  NEEDS,
  "a page that would not fit is refused; the dashboard's list does not read what is large",
  async () => {
    await using site = await WebSite.make();
    await site.queue.publishMany([1, 2].map(() => ({ model: "app", fname: "x" })));
    await site.record.run(
      "update :schema.tasks set data = jsonb_build_object('x', repeat('x', 36 * 1048576))",
    );
    const answer = await site.ask("/task?size=1000");
    assert.deepEqual(answer.body, {
      status: false,
      error:
        "the data and results of these 2 tasks are 73 MiB, above the 64 that a page may have: ask for fewer",
      error_code: 400,
    });
    assert.equal((await site.ask("/task?size=1")).body.data[0].data.x.length, 36 * 1048576);
    const headers = { authorization: `Bearer ${MANAGE}` };
    const list = await (await fetch(`${site.url}/dashboard/tasks?size=1000`, { headers })).json();
    assert.deepEqual([list.count, "data" in list.data[0]], [2, false]);
  },
);

needTest(NEEDS, "a day as an end counts to its end, over REST and on the dashboard", async () => {
  await using site = await WebSite.make();
  await site.queue.publish("app", "x");
  await site.record.run("update :schema.tasks set created = '2026-11-24T15:00:00Z'");
  const counts = async (query: string) => {
    const headers = { authorization: `Bearer ${MANAGE}` };
    const dashboard = await (await fetch(`${site.url}/dashboard/tasks?${query}`, { headers })).json();
    return [(await site.ask(`/task?${query}`)).body.count, dashboard.count];
  };
  assert.deepEqual(await counts("dr_start=2026-11-24&dr_end=2026-11-24"), [1, 1]);
  assert.deepEqual(await counts("dr_end=2026-11-24T15:00:00Z"), [0, 0]);
  assert.deepEqual(await counts("dr_end=2026-11-23"), [0, 0]);
});

needTest(NEEDS, "what cannot be done is refused with what is", async () => {
  await using site = await WebSite.make();
  const [first = 0, second = 0] = await site.queue.publishMany(
    [1, 2].map(() => ({ model: "app", fname: "x" })),
  );
  const act = async (id: number, action: string) => (await site.post(`/task/${id}`, { action })).body;
  assert.match(
    (await act(first, "retry_now")).error,
    /^task \d+ is scheduled: only one that has ended is run again$/,
  );
  assert.equal((await act(first, "cancel")).data.state, State.canceled);
  assert.equal((await act(first, "cancel")).data.state, State.canceled, "asked twice it is as it was");
  await site.record.run(`update :schema.tasks set state = 10, completed_at = now() where id = ${second}`);
  assert.match(
    (await act(second, "cancel")).error,
    /^task \d+ is completed: only one that has not ended is canceled$/,
  );
  const held = await site.queue.publish("app", "x", {}, { unique: "u" });
  await site.queue.cancel(held);
  await site.queue.publish("app", "x", {}, { unique: "u" });
  assert.match(
    (await act(held, "retry_now")).error,
    /cannot run again: another one with its unique key is not ended$/,
  );
});

needTest(NEEDS, "a running task is canceled by telling the engines of this host at once", async () => {
  await using site = await WebSite.make();
  const [running = 0, ready = 0] = await site.queue.publishMany(
    [1, 2].map(() => ({ model: "app", fname: "x" })),
  );
  await site.record.run(`update :schema.tasks set state = 1, started_at = now() where id = ${running}`);
  const { data } = (await site.post(`/task/${running}`, { action: "cancel", reason: "wrong month" })).body;
  assert.deepEqual([data.state, data.cancel_requested, data.reason], [1, true, "wrong month"]);
  await site.post(`/task/${ready}`, { action: "cancel" });
  assert.deepEqual(site.canceled, [running]);
});

needTest(NEEDS, "a restart is asked for once, and refused while engines still start", async () => {
  await using site = await WebSite.make();
  assert.deepEqual((await site.ask("/restart", { method: "POST" })).body, {
    status: true,
    data: { restarting: true },
  });
  assert.equal(site.restarts, 1);
  site.canRestart = false;
  const { body } = await site.post("/restart", {});
  assert.deepEqual(body, {
    status: false,
    error: "the engine still starts: try again later",
    error_code: 503,
  });
});

needTest(
  NEEDS,
  "paths end with a slash or not; HEAD is GET without a body; other methods are refused",
  async () => {
    await using site = await WebSite.make();
    assert.equal((await site.ask("/task/")).status, 200);
    assert.equal((await site.ask("/task/status/")).status, 200);
    const head = await site.ask("/task", { method: "HEAD" });
    assert.deepEqual([head.status, head.text], [200, ""]);
    for (
      const [method, path, allow] of [["PUT", "/task", "GET"], ["DELETE", "/task/1", "GET, POST"], [
        "GET",
        "/restart",
        "POST",
      ]]
    ) {
      const answer = await site.ask(path!, { method: method! });
      assert.deepEqual([answer.status, answer.body.error_code, answer.headers.get("allow")], [
        405,
        405,
        allow,
      ]);
    }
  },
);

needTest(NEEDS, "a parameter that is not given, or not known, changes nothing", async () => {
  await using site = await WebSite.make();
  await site.queue.publish("app", "x");
  const query =
    "size=&start=&sort=&search=&state=&channel=&model=&fname=&dr_start=&dr_end=&graph=list&_=1700000000";
  const answer = await site.ask(`/task?${query}`);
  assert.deepEqual([answer.status, answer.body.count, answer.body.size, answer.body.sort], [
    200,
    1,
    25,
    "-modified",
  ]);
});

needTest(
  NEEDS,
  "without Postgres every answer is a 503 in the envelope, which says no more than that",
  async () => {
    await using log = await captureLog();
    await using site = await WebSite.make({
      settings: { TQ_DATABASE_URL: "postgres://secret:secret@127.0.0.1:1/none" },
    });
    for (const path of ["/task", "/task/1", "/task/log?task=1", "/task/status", "/task/stats"]) {
      const { status, body } = await site.ask(path);
      assert.deepEqual([status, body], [503, {
        status: false,
        error: "Postgres is unreachable: try again later",
        error_code: 503,
      }]);
    }
    assert.equal(log.count(/^WARNING http: Cannot answer for now path=.*ECONNREFUSED/), 5);
    assert.ok(!log.lines.join().includes("secret"));
  },
);

needTest(NEEDS, "what nobody foresaw is logged, and not told", async () => {
  await using log = await captureLog();
  await using site = await WebSite.make({
    status: () => {
      throw new Error("inner thoughts");
    },
  });
  const response = await fetch(`${site.url}/readyz`);
  assert.deepEqual(await response.json(), {
    status: false,
    error: "something went wrong: see the log of tq",
    error_code: 500,
  });
  assert.equal(log.count(/^ERROR {3}http: A request failed .*inner thoughts/), 1);
});

needTest(NEEDS, "the access log has a line for each request at debug, without its query", async () => {
  await using log = await captureLog("debug");
  await using site = await WebSite.make();
  await site.ask("/task?search=something-private");
  await site.ask("/task/999999");
  await raw(site.url, `GET /sign-in?code=one-time HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  const lines = log.lines.filter((line) => line.includes("http: Answered"));
  assert.match(
    lines[0]!,
    /^DEBUG {3}http: Answered method=GET path=\/rpc\/taskqueue\/task status=200 ms=\d+ by=token$/,
  );
  assert.match(lines[1]!, /path=\/rpc\/taskqueue\/task\/999999 status=404 /);
  assert.match(lines[2]!, /path=\/sign-in status=401 /);
  assert.ok(!log.lines.join().includes("private") && !log.lines.join().includes("one-time"));
  assert.ok(!log.lines.join().includes(MANAGE));
  assert.equal(STATUS.ready, true);
});

needTest(
  NEEDS,
  "a task is published although it cannot be read right after: nobody is told to try again",
  async () => {
    class Unreadable extends Store {
      override get(): Promise<never> {
        return Promise.reject(new UnreachableError("Postgres is unreachable"));
      }
    }
    await using site = await WebSite.make({ kind: Unreadable });
    const { status, body } = await site.post("/task/publish", { model: "app", fname: "x" });
    const [task] = await site.record.sql`select id from ${site.record.sql(site.record.schema)}.tasks`;
    assert.deepEqual([status, body], [200, {
      status: true,
      data: { id: Number(task!.id), model: "app", fname: "x" },
    }]);
  },
);
