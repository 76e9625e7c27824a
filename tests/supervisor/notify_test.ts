import assert from "node:assert/strict";
import { join } from "node:path";
import { Heartbeat } from "../../src/engine/heartbeat.ts";
import type { Beat } from "../../src/store/mod.ts";
import { makeNotifier, Notifier, statusLine, takeNotifyAddress } from "../../src/supervisor/notify.ts";
import type { EngineReport, SupervisorStatus } from "../../src/supervisor/status_file.ts";
import { captureLog } from "../support/capture_log.ts";
import { DatagramReceiver } from "../support/datagram_receiver.ts";
import { eventually, tempFolder, TestClock } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { Project, REPOSITORY, Tq } from "../support/tq.ts";

const WATCHED = 60_000_000;

/** Starts `tq run`, of the source in `folder`, as systemd would. */
function runAsService(project: Project, socket: string, folder = REPOSITORY, settings = {}): Tq {
  const variables = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: String(WATCHED) };
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", join(folder, "main.ts"), "run"],
    cwd: project.path,
    env: { ...project.environment, ...variables, ...settings },
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  return new Tq(command.spawn());
}

function abstractName(): string {
  return `@tq-test-${crypto.randomUUID()}`;
}

needTest(
  ["linux"],
  "what systemd hears: READY, RELOADING, READY, STOPPING, at a path and at an abstract name",
  async () => {
    await using folder = await tempFolder();
    for (const socket of [join(folder.path, "a path"), abstractName()]) {
      using systemd = new DatagramReceiver(socket);
      using notifier = new Notifier({ socket, watchdog: WATCHED });
      notifier.reloading(); // It is starting.
      notifier.tell("starting");
      notifier.ready();
      notifier.ready();
      notifier.alive();
      const before = systemd.now();
      notifier.reloading();
      const after = systemd.now();
      notifier.reloading();
      notifier.tell("two\nlines");
      notifier.tell("two\nlines");
      notifier.ready();
      notifier.stopping();
      notifier.stopping();
      notifier.ready();
      notifier.reloading();
      const reloading = systemd.received[3] ?? "";
      const moment = BigInt(/^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(reloading)?.[1] ?? -1);
      assert.ok(before <= moment && moment <= after, `${before} ${reloading} ${after}`);
      assert.deepEqual(systemd.received.filter((one) => one !== reloading), [
        "STATUS=starting",
        "READY=1",
        "WATCHDOG=1",
        "STATUS=two lines",
        "READY=1",
        "STOPPING=1",
      ]);
    }
  },
);

needTest(["linux"], "without WatchdogSec nothing is said at a beat", () => {
  const socket = abstractName();
  using systemd = new DatagramReceiver(socket);
  using notifier = new Notifier({ socket, watchdog: undefined });
  notifier.alive();
  notifier.ready();
  notifier.alive();
  assert.deepEqual(systemd.received, ["READY=1"]);
});

needTest(
  ["linux"],
  "what nobody took is said again at the next beat, the latest word of each kind, and the trouble is logged once",
  async () => {
    await using log = await captureLog();
    const socket = abstractName();
    using notifier = new Notifier({ socket, watchdog: WATCHED });
    notifier.tell("old");
    notifier.ready();
    notifier.alive();
    notifier.reloading();
    notifier.tell("new");
    notifier.ready();
    notifier.alive();
    using systemd = new DatagramReceiver(socket);
    notifier.alive();
    assert.deepEqual(systemd.received.toSorted(), ["READY=1", "STATUS=new", "WATCHDOG=1"]);
    assert.equal(log.count(/systemd does not take what it is told/), 1);
  },
);

needTest(["linux"], "a full socket neither blocks nor loses READY", () => {
  const socket = abstractName();
  using systemd = new DatagramReceiver(socket);
  using notifier = new Notifier({ socket, watchdog: WATCHED });
  // More than any queue of datagrams holds.
  for (let i = 0; i < 5000; i++) notifier.alive();
  notifier.ready();
  assert.ok(!systemd.received.includes("READY=1"), "the queue was not full");
  notifier.alive();
  assert.ok(systemd.received.includes("READY=1"));
});

Deno.test("the address is taken out of the environment, and WATCHDOG_PID must be this process", () => {
  const taken = (variables: Record<string, string>) => {
    for (const [name, value] of Object.entries(variables)) Deno.env.set(name, value);
    const address = takeNotifyAddress();
    for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) {
      assert.equal(Deno.env.get(name), undefined, name);
    }
    return address;
  };
  const mine = String(Deno.pid);
  assert.equal(taken({}), undefined);
  assert.equal(taken({ NOTIFY_SOCKET: "", WATCHDOG_USEC: "1" }), undefined);
  assert.deepEqual(taken({ NOTIFY_SOCKET: "/n" }), { socket: "/n", watchdog: undefined });
  assert.deepEqual(taken({ NOTIFY_SOCKET: "/n", WATCHDOG_USEC: "5", WATCHDOG_PID: mine }), {
    socket: "/n",
    watchdog: 5,
  });
  assert.deepEqual(taken({ NOTIFY_SOCKET: "/n", WATCHDOG_USEC: "5", WATCHDOG_PID: "1" }), {
    socket: "/n",
    watchdog: undefined,
  });
  const left = { socket: "@left", watchdog: 7 };
  assert.deepEqual(takeNotifyAddress(left), left);
});

needTest(["linux"], "an address that is no Unix socket is logged, and nothing else happens", async () => {
  await using log = await captureLog();
  assert.equal(makeNotifier(undefined), undefined);
  assert.equal(makeNotifier({ socket: "vsock:2:1234", watchdog: undefined }), undefined);
  assert.equal(makeNotifier({ socket: `/${"x".repeat(200)}`, watchdog: undefined }), undefined);
  assert.equal(log.count(/NOTIFY_SOCKET is of no use/), 2);
});

needTest(["linux"], "a WatchdogSec that beats cannot keep is warned of", async () => {
  await using log = await captureLog();
  new Notifier({ socket: abstractName(), watchdog: 5_000_000 })[Symbol.dispose]();
  new Notifier({ socket: abstractName(), watchdog: WATCHED })[Symbol.dispose]();
  assert.deepEqual(log.lines, [
    "WARNING supervisor: WatchdogSec of the unit is too short for the beats of tq seconds=5 least=20",
  ]);
});

needTest(["linux"], "pings go on while Postgres is away, and end when a beat hangs", async () => {
  const clock = new TestClock();
  const socket = abstractName();
  using systemd = new DatagramReceiver(socket);
  using notifier = new Notifier({ socket, watchdog: WATCHED });
  const hanging = Promise.withResolvers<Beat>();
  let answer = (): Promise<Beat> => Promise.reject(new Error("away"));
  await using heart = new Heartbeat({
    store: { beat: () => answer() },
    lease: 30,
    engineIds: () => [],
    heard() {},
    turning: () => notifier.alive(),
    clock,
  });
  heart.start();
  await clock.advance(60_000);
  assert.ok(systemd.received.length > 10, "one ping for each try");
  answer = () => hanging.promise;
  await clock.advance(1000);
  const pings = systemd.received.length;
  await clock.advance(600_000);
  assert.equal(systemd.received.length, pings);
  hanging.resolve({ at: 0, held: new Map(), ready: [], hasSuspects: false });
});

needTest(["linux"], "a status is cut to what systemd takes", () => {
  const socket = abstractName();
  using systemd = new DatagramReceiver(socket);
  using notifier = new Notifier({ socket, watchdog: undefined });
  notifier.tell("€".repeat(5000));
  const [word = ""] = systemd.received;
  assert.match(word, /^STATUS=€{1000}$/);
  assert.ok(new TextEncoder().encode(word).length < 4096);
});

Deno.test("the status line names engines, tasks, commit, trouble, and code that was refused", () => {
  const engine = (state: EngineReport["state"], running: number): EngineReport => ({
    pid: 1,
    id: null,
    commit: null,
    state,
    status: { claimed: 0, ended: 0, running, rss: 0, open: [] } as unknown as EngineReport["status"],
  });
  const status: SupervisorStatus = {
    pid: 1,
    started: "",
    written: "",
    ready: true,
    version: "",
    commit: null,
    dispatch: "redis",
    leader: true,
    engines: [engine("ready", 1)],
    refresh: null,
    trouble: null,
  };
  assert.equal(statusLine(status), "1 engine ready, 1 task running");
  assert.equal(
    statusLine({
      ...status,
      commit: "0123456789abcdef",
      engines: [engine("ready", 2), engine("ready", 3), engine("draining", 1), engine("starting", 0)],
      trouble: "engines die young",
      refresh: { at: "", commit: null, outcome: "refused", reason: "a.js does not import" },
    }),
    "2 engines ready, 1 draining, 6 tasks running, commit 0123456789ab, engines die young, " +
      "new code was refused: a.js does not import",
  );
});

const HANDLER = `export function look(task) {
  task.completed(["NOTIFY_SOCKET", "WATCHDOG_USEC"].map((name) => Deno.env.get(name) ?? null));
}`;

needTest(
  ["linux", "postgres", "redis"],
  "tq run tells systemd READY once it is ready, RELOADING and READY at HUP, STOPPING at TERM; its children know nothing of it",
  async () => {
    await using project = await Project.make({ servers: "redis", handlers: { "app.js": HANDLER } });
    const socket = join(project.path, "notify");
    using systemd = new DatagramReceiver(socket);
    await using tq = runAsService(project, socket);
    await systemd.heard(/^READY=1$/, { within: 60_000 });
    assert.equal(tq.count(/ Engine is ready /), 1);
    const id = await project.queue.publish("app", "look");
    assert.deepEqual((await project.queue.wait(id, { timeout: 15 })).result, [null, null]);
    await systemd.heard(/^WATCHDOG=1$/, { count: 2 });
    await systemd.heard(/^STATUS=1 engine ready, 0 tasks running/);

    tq.signal("SIGHUP");
    await systemd.heard(/^READY=1$/, { count: 2, within: 60_000 });
    assert.equal(tq.count(/ Engine is ready /), 2);
    assert.equal((await tq.stop()).code, 0);
    assert.deepEqual(
      systemd.received.filter((one) => /^(READY|RELOADING|STOPPING)/.test(one)).map((one) =>
        one.split("\n")[0]
      ),
      ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"],
    );
  },
);

needTest(["linux", "postgres"], "tq run says STOPPING, and never READY, when it cannot start", async () => {
  await using project = await Project.make({ servers: "postgres", handlers: { "app.js": HANDLER } });
  const socket = join(project.path, "notify");
  using systemd = new DatagramReceiver(socket);
  const nowhere = { TQ_DATABASE_URL: "postgres://127.0.0.1:1/none" };
  await using tq = runAsService(project, socket, REPOSITORY, nowhere);
  assert.equal((await tq.ended(60_000)).code, 75);
  assert.deepEqual(systemd.received.filter((one) => !one.startsWith("STATUS")), ["STOPPING=1"]);
});

needTest(
  ["linux", "postgres", "redis"],
  "a new tq that takes the place of the old one speaks on: RELOADING by the old, READY by the new",
  async () => {
    await using project = await Project.make({ servers: "redis", handlers: { "app.js": HANDLER } });
    const source = join(project.path, "source");
    const parts = ["src", "migrations", "main.ts", "mod.ts", "deno.json", "deno.lock"];
    await Deno.mkdir(source);
    const { success } = await new Deno.Command("cp", {
      args: ["-R", ...parts.map((part) => join(REPOSITORY, part)), source],
    }).output();
    assert.ok(success);
    const socket = join(project.path, "notify");
    using systemd = new DatagramReceiver(socket);
    await using tq = runAsService(project, socket, source);
    await systemd.heard(/^READY=1$/, { within: 60_000 });
    await Deno.writeTextFile(join(source, "mod.ts"), "// Changed.\n", { append: true });
    await systemd.heard(/^RELOADING=1/, { within: 30_000 });
    await systemd.heard(/^READY=1$/, { count: 2, within: 60_000 });
    const pings = systemd.received.filter((one) => one === "WATCHDOG=1").length;
    await systemd.heard(/^WATCHDOG=1$/, { count: pings + 1 });
    const status = async (): Promise<SupervisorStatus> =>
      JSON.parse(await Deno.readTextFile(join(project.varFolder, "status.json")));
    assert.equal((await status()).pid, tq.pid, "the process is the same");
    await eventually(async () => (await status()).engines.length === 1, {
      within: 20_000,
      what: "the end of the old engine",
    });
    assert.equal((await tq.stop()).code, 0);
    await systemd.heard(/^STOPPING=1$/);
  },
);
