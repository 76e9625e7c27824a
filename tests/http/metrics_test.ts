import assert from "node:assert/strict";
import { join } from "node:path";
import { eventually } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { PrivatePrometheus, promtool } from "../support/private_prometheus.ts";
import { PrivateRedis } from "../support/servers.ts";
import { signal } from "../support/processes.ts";
import { Project, type Tq } from "../support/tq.ts";

const HANDLERS = {
  "app.js": `
    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    export async function works(task) { await sleep(task.data.ms ?? 0); }
    export function fails(task) { task.failed("as it should"); }
    export function again(task) { if (task.attempts === 1) task.retryLater({ reason: "once more", delay: 0 }); }
    export async function waits(task) {
      await new Promise((resolve) => task.signal.addEventListener("abort", resolve));
      task.signal.throwIfAborted();
    }`,
};

/** Reads `/metrics`. */
class Metrics {
  readonly url: string;
  readonly tokenFile: string;

  private constructor(url: string, tokenFile: string) {
    this.url = `${url}/metrics`;
    this.tokenFile = tokenFile;
  }

  static async of(project: Project, tq: Tq): Promise<Metrics> {
    const line = await tq.logged(/http: Listening url=/);
    return new Metrics(line.slice(line.indexOf("url=") + 4), join(project.varFolder, "api_token"));
  }

  async text(): Promise<string> {
    const token = Deno.readTextFileSync(this.tokenFile).trim();
    const response = await fetch(this.url, { headers: { authorization: `Bearer ${token}` } });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
    return text;
  }

  /** Values by name and labels, as written: `tq_engines{state="ready"}`. */
  async values(): Promise<Map<string, number>> {
    const lines = (await this.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(lines.map((line) => {
      const end = line.lastIndexOf(" ");
      return [line.slice(0, end), Number(line.slice(end + 1))];
    }));
  }

  /** The values, once `is` says so of them. */
  async until(is: (values: Map<string, number>) => boolean, what: string): Promise<Map<string, number>> {
    let last = new Map<string, number>();
    try {
      return await eventually(async () => is(last = await this.values()) && last, { what, within: 20_000 });
    } catch (error) {
      throw new Error(`the metrics are ${JSON.stringify([...last], null, 1)}`, { cause: error });
    }
  }
}

/** Runs by outcome. */
function runs(values: Map<string, number>): Record<string, number> {
  const sums: Record<string, number> = { completed: 0, failed: 0, retry: 0, canceled: 0 };
  for (const [name, value] of values) {
    const outcome = /^tq_task_runs_total\{.*outcome="(\w+)"/.exec(name)?.[1];
    if (outcome !== undefined) sums[outcome] = (sums[outcome] ?? 0) + value;
  }
  return sums;
}

async function publish(project: Project, fname: string, count: number, data = {}): Promise<number[]> {
  const task = { model: "app", fname, data };
  return await project.queue.publishMany(Array.from({ length: count }, () => task));
}

needTest(
  ["postgres", "redis", "prometheus"],
  "a Prometheus shows what `tq tasks` shows, after three engine replacements and a death",
  async () => {
    await using project = await Project.make({
      servers: "redis",
      handlers: HANDLERS,
      settings: { TQ_HTTP: "127.0.0.1:0", TQ_PROCESSES: 2 },
    });
    await using tq = await project.start();
    const metrics = await Metrics.of(project, tq);
    await using prometheus = await PrivatePrometheus.started(metrics.url, metrics.tokenFile);
    const expected = { completed: 0, failed: 0, retry: 0, canceled: 0 };
    const round = async () => {
      await publish(project, "works", 100);
      await publish(project, "fails", 20);
      await publish(project, "again", 5);
      const canceled = await publish(project, "waits", 3);
      for (const id of canceled) await project.started(id);
      await project.queue.cancel(canceled);
      expected.completed += 105;
      expected.failed += 20;
      expected.retry += 5;
      expected.canceled += 3;
    };
    const arrived = () =>
      metrics.until(
        (values) => JSON.stringify(runs(values)) === JSON.stringify(expected),
        `runs ${JSON.stringify(expected)}`,
      );
    await round();
    // Each replaces both engines; the last one while they work.
    for (let reload = 1; reload <= 3; reload++) {
      if (reload < 3) await arrived();
      tq.signal("SIGHUP");
      await tq.logged(/ New code was (taken|refused)/, { count: reload, within: 60_000 });
      assert.equal(tq.count(/ New code was taken/), reload, tq.log.join("\n"));
      await round();
    }
    const values = await arrived();
    assert.equal(values.get("tq_engine_starts_total"), 8);
    // What it has not told yet, a killed engine takes with it; here it has told all.
    signal((await tq.engines())[0]!.pid, "SIGKILL");
    await tq.logged(/ Engine is ready /, { count: 9, within: 30_000 });
    await round();
    await arrived();

    const shown: Record<string, number> = {};
    for (const state of ["completed", "failed", "canceled"]) {
      const { stdout } = await project.command("tasks", "--state", state, "--size", "1000", "--json");
      shown[state] = JSON.parse(stdout).length;
    }
    const { retry, ...ended } = expected;
    assert.deepEqual(shown, ended);
    const asked = await eventually(async () => {
      const answer = await prometheus.query("sum by (outcome) (tq_task_runs_total)");
      return answer['{outcome="completed"}'] === expected.completed && answer;
    }, { what: "the last scrape", within: 10_000 });
    assert.deepEqual(asked, {
      '{outcome="completed"}': ended.completed,
      '{outcome="failed"}': ended.failed,
      '{outcome="canceled"}': ended.canceled,
      '{outcome="retry"}': retry,
    });
    // A counter that fell, even once, would be a reset.
    const resets = await prometheus.query("sum(resets(tq_task_runs_total[5m]))");
    assert.deepEqual(resets, { "{}": 0 });
    const deaths = await prometheus.query("tq_engine_deaths_total");
    assert.deepEqual(Object.values(deaths), [1]);
    assert.equal((await tq.stop()).code, 0);
  },
);

needTest(
  ["postgres", "redis", "prometheus"],
  "promtool finds nothing to complain of in /metrics",
  async () => {
    await using project = await Project.make({
      servers: "redis",
      handlers: HANDLERS,
      settings: { TQ_HTTP: "127.0.0.1:0", TQ_WORKERS: 2, TQ_SUBSCRIBE: "tq_app_handler,tq_hook:1" },
    });
    await using tq = await project.start();
    const metrics = await Metrics.of(project, tq);
    await publish(project, "works", 3, { ms: 15 });
    await publish(project, "again", 1);
    await project.queue.publish("app", "none", {}, { maxAttempts: 1 });
    const ended = await metrics.until(
      (values) => runs(values).completed === 4 && runs(values).failed === 1,
      "five ends",
    );
    // An engine claims ahead what ended in the last tenth of a second: nothing ends in this second.
    const rounds = 'tq_upkeep_rounds_total{loop="due"}';
    await metrics.until(
      (values) => (values.get(rounds) ?? 0) >= (ended.get(rounds) ?? 0) + 2,
      "two rounds, a second apart",
    );
    const running = await publish(project, "waits", 2);
    await publish(project, "works", 4);
    await project.queue.publish("app", "works", {}, { delay: 3600 });
    await project.queue.publish("app", "works", {}, { channel: "nobody" });
    for (const id of running) await project.started(id);
    const values = await metrics.until(
      (values) =>
        values.get('tq_ready_tasks{channel="tq_app_handler"}') === 4 &&
        values.get('tq_batch_size_sum{batch="claim"}') === 8 &&
        values.get('tq_batch_size_sum{batch="end"}') === 6,
      "four ready tasks, two that run, and six ends",
    );
    const checked = await promtool(["check", "metrics"], await metrics.text());
    assert.deepEqual(checked, { code: 0, stdout: "", stderr: "" });

    const get = (name: string) => values.get(name);
    const app = 'channel="tq_app_handler",handler="app.works"';
    assert.equal(get(`tq_task_runs_total{${app},outcome="completed"}`), 3);
    assert.equal(get(`tq_task_run_seconds_count{${app}}`), 3);
    assert.ok(
      get(`tq_task_run_seconds_sum{${app}}`)! >= 0.045 && get(`tq_task_run_seconds_sum{${app}}`)! < 2,
    );
    assert.equal(get(`tq_task_run_seconds_bucket{${app},le="0.01"}`), 0);
    assert.equal(get('tq_task_runs_total{channel="tq_app_handler",handler="unknown",outcome="failed"}'), 1);
    assert.equal(get('tq_task_runs_total{channel="tq_app_handler",handler="app.again",outcome="retry"}'), 1);
    assert.equal(get('tq_task_wait_seconds_count{channel="tq_app_handler"}'), 6);
    assert.equal(get('tq_ready_tasks{channel="tq_hook"}'), 0);
    assert.equal(get('tq_ready_tasks{channel="nobody"}'), 1);
    assert.ok(get('tq_oldest_ready_seconds{channel="nobody"}')! > 0);
    assert.equal(get('tq_running_tasks{channel="tq_app_handler"}'), 2);
    assert.equal(get("tq_delayed_tasks"), 1);
    assert.equal(get('tq_engines{state="ready"}'), 1);
    for (const name of ["tq_redis_up", "tq_postgres_up", "tq_record_up", "tq_leader"]) {
      assert.equal(get(name), 1, name);
    }
    assert.equal(get('tq_degraded_seconds_total{server="redis"}'), 0);
    assert.ok(get('tq_batch_seconds_count{batch="claim"}')! > 0);
    assert.ok(get("process_resident_memory_bytes")! > 1e6);
    assert.ok(Math.abs(get("process_start_time_seconds")! - Date.now() / 1000) < 120);
    await metrics.until(
      (values) =>
        (values.get('tq_upkeep_rounds_total{loop="due"}') ?? 0) > 0 &&
        (values.get("tq_engine_memory_bytes") ?? 0) > 1e6,
      "upkeep, and a beat",
    );
    await project.queue.cancel(running);
    assert.equal((await tq.stop()).code, 0);
  },
);

needTest(["postgres"], "/metrics wants a token, which may be one that only views", async () => {
  await using project = await Project.make({
    servers: "postgres",
    handlers: HANDLERS,
    settings: { TQ_HTTP: "127.0.0.1:0", TQ_API_TOKENS: "view:a-token-for-prometheus" },
  });
  await using tq = await project.start();
  const line = await tq.logged(/http: Listening url=/);
  const url = `${line.slice(line.indexOf("url=") + 4)}/metrics`;
  const ask = async (headers: Record<string, string>) => {
    const response = await fetch(url, { headers });
    return [response.status, await response.text()] as const;
  };
  const [none, said] = await ask({});
  assert.equal(none, 401);
  assert.doesNotMatch(said, /tq_/);
  assert.equal((await ask({ authorization: "Bearer another-token-for-it" }))[0], 401);
  const [right, text] = await ask({ authorization: "Bearer a-token-for-prometheus" });
  assert.equal(right, 200);
  assert.doesNotMatch(text, /^tq_redis_up/m, "there is none");
  assert.match(text, /^tq_engines\{state="ready"\} 1$/m);
});

needTest(
  ["postgres", "redis-binaries"],
  "while Redis is away the metrics and `tq status` say so, and for how long it was",
  async () => {
    await using redis = await PrivateRedis.started();
    await using project = await Project.make({
      servers: "postgres",
      handlers: HANDLERS,
      settings: { TQ_HTTP: "127.0.0.1:0", TQ_REDIS_URL: redis.url() },
    });
    await using tq = await project.start();
    const metrics = await Metrics.of(project, tq);
    await metrics.until((values) => values.get("tq_redis_up") === 1, "a Redis that is up");
    await redis.stop();
    await metrics.until((values) => values.get("tq_redis_up") === 0, "a Redis that is away");
    const status = async () =>
      JSON.parse((await project.command("status", "--json")).stdout).supervisor.dispatch;
    await eventually(async () => await status() === "postgres, redis is away", {
      what: "the same in tq status",
      within: 15_000,
    });
    const id = await project.queue.publish("app", "works");
    assert.equal((await project.ended(id, 20_000)).state, 10, "tasks run without it");
    await redis.start();
    const values = await metrics.until((values) => values.get("tq_redis_up") === 1, "a Redis that is back");
    const seconds = values.get('tq_degraded_seconds_total{server="redis"}')!;
    assert.ok(seconds > 0.5 && seconds < 120, `${seconds} s`);
    assert.equal(values.get('tq_degraded_seconds_total{server="postgres"}'), 0);
    assert.equal((await tq.stop()).code, 0);
  },
);
