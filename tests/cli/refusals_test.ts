import assert from "node:assert/strict";
import { join } from "node:path";
import postgres from "npm:postgres@3.4.9";
import { eventually, tempFolder, testSchema } from "../support/fixtures.ts";
import { freePort } from "../support/free_port.ts";
import { needTest } from "../support/need.ts";
import { PrivatePostgres } from "../support/servers.ts";
import { cleanEnvironment, Project } from "../support/tq.ts";
import { forEach, printed, RECORD_COMMANDS, refusal, tq } from "./run_tq.ts";

/** A folder with `handlers/`, and nothing that names a database. */
async function bareProject() {
  const folder = await tempFolder();
  await Deno.mkdir(join(folder.path, "handlers"));
  return { ...folder, path: folder.path, environment: cleanEnvironment() };
}

/** Handlers that nobody runs: the folder makes it a project. */
const NONE = { "demo.js": "" };

const LINE = '{"model": "demo.Report", "fname": "run"}';

Deno.test("an unreachable Postgres is told in one line, with 75, within some seconds", async () => {
  await using project = await bareProject();
  const closed = `postgres://tq:secret@127.0.0.1:${freePort()}/test`;
  // All at once: they are waiting.
  await Promise.all(RECORD_COMMANDS.map(async (args) => {
    const started = performance.now();
    const message = await refusal(project, 75, args, {
      environment: { TQ_DATABASE_URL: closed },
      stdin: LINE,
    });
    assert.match(
      message,
      /^Postgres is unreachable \(.*ECONNREFUSED.*\): see that it runs and that TQ_DATABASE_URL is/,
    );
    // 4 s where it publishes, and what a busy machine needs to start.
    assert.ok(performance.now() - started < 15_000, args.join(" "));
  }));
});

Deno.test("a server that takes connections and says nothing, or drops them, is unreachable", async () => {
  await using project = await bareProject();
  const open: Deno.Conn[] = [];
  const serve = (take: (connection: Deno.Conn) => void) => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const taking = (async () => {
      for await (const connection of listener) take(connection);
    })();
    return { listener, taking, url: `postgres://tq@127.0.0.1:${listener.addr.port}/test` };
  };
  const servers = [serve((connection) => open.push(connection)), serve((connection) => connection.close())];
  await Promise.all(
    servers.flatMap(({ url }) =>
      [["publish", "demo.Report", "run"], ["tasks"]].map(async (args) => {
        const started = performance.now();
        const message = await refusal(project, 75, args, { environment: { TQ_DATABASE_URL: url } });
        assert.match(message, /^Postgres (is unreachable|did not answer)/);
        assert.ok(performance.now() - started < 18_000, args.join(" "));
      })
    ),
  );
  for (const connection of open) connection.close();
  for (const { listener, taking } of servers) {
    listener.close();
    await taking;
  }
});

needTest(
  ["postgres-binaries"],
  "a wrong password, user or database is told in one line, with 1",
  async () => {
    await using project = await bareProject();
    await using server = await PrivatePostgres.started();
    {
      const sql = postgres(server.url(), { max: 1 });
      await sql`alter user postgres password 'right'`;
      await Deno.writeTextFile(
        join(server.folder, "data/pg_hba.conf"),
        "host all all 127.0.0.1/32 scram-sha-256\n",
      );
      await sql`select pg_reload_conf()`;
      await sql.end();
    }
    const at = (user: string, database = "postgres") => ({
      environment: { TQ_DATABASE_URL: `postgres://${user}@127.0.0.1:${server.port}/${database}` },
    });
    const wrong = ["publish", "demo.Report", "run"];
    await eventually(
      async () => (await tq(project, wrong, at("postgres:wrong"))).stderr.includes("refused"),
      {
        what: "Postgres to ask for passwords",
      },
    );
    const refused = /^Postgres refused the connection \(.*\): correct TQ_DATABASE_URL$/;
    for (const user of ["postgres:wrong", "nobody:wrong", "postgres"]) {
      const message = await refusal(project, 1, wrong, at(user));
      assert.match(message, refused);
      assert.doesNotMatch(message, /wrong/);
    }
    assert.match(await refusal(project, 1, ["tasks"], at("postgres:right", "nowhere")), refused);
    assert.match(await printed(project, ["migrate"], at("postgres:right")), /^migrated 0001_/);
    assert.match(await printed(project, wrong, at("postgres:right")), /^\d+\n$/);
  },
);

needTest(
  ["postgres"],
  "a schema that is not migrated, or newer than this tq allows, is told with 1",
  async () => {
    await using project = await Project.make({ servers: "postgres", handlers: NONE });
    const missing = { environment: { TQ_SCHEMA: testSchema() }, stdin: LINE };
    await forEach(RECORD_COMMANDS.filter(([name]) => name !== "migrate"), async (args) => {
      assert.match(
        await refusal(project, 1, args, missing),
        /^Postgres has no tq tables in the schema tq_test_\w+: run tq migrate$/,
      );
    });
    await project.record!.run("update :schema.migrations set min_program = 1000");
    await forEach(RECORD_COMMANDS, async (args) => {
      assert.match(
        await refusal(project, 1, args, { stdin: LINE }),
        /^this tq knows the schema up to level \d+, but .* needs a tq of at least 1000: upgrade tq$/,
      );
    });
    assert.equal(await project.record!.count(), 0);
  },
);

Deno.test("a bad setting is told by its name, value and what is allowed, with 2", async () => {
  await using project = await bareProject();
  const bad: readonly (readonly [string, string, RegExp])[] = [
    ["TQ_WORKERS", "0", /^TQ_WORKERS is "0": allowed: a whole number from 1 to 10000$/],
    ["TQ_PROCESSES", "many", /^TQ_PROCESSES is "many": allowed: /],
    ["TQ_SCHEMA", "Bad;", /^TQ_SCHEMA is "Bad;": allowed: lower-case letters/],
    ["TQ_SUBSCRIBE", "a:0", /^TQ_SUBSCRIBE is "a:0": allowed: channel names/],
    ["TQ_LEASE", "-1", /^TQ_LEASE is "-1": allowed: seconds from /],
    ["TQ_LOG_LEVEL", "loud\u001b[2J", /^TQ_LOG_LEVEL is "loud\\u001b\[2J": allowed: debug, info, /],
    [
      "TQ_DATABASE_URL",
      "mysql://u:secret@h",
      /^TQ_DATABASE_URL is not what it should be: allowed: postgres:/,
    ],
    ["TQ_REDIS_URL", "secret", /^TQ_REDIS_URL is not what it should be: allowed: redis:/],
    ["TQ_ROOT", "/no such", /^TQ_ROOT is "\/no such", which is not a folder: give /],
  ];
  await forEach(bad, async ([name, value, message]) => {
    assert.match(await refusal(project, 2, ["tasks"], { environment: { [name]: value } }), message);
  });
  const files: readonly (readonly [string, RegExp])[] = [
    ['{"TQ_WORKRS": 5}', /tq\.json has the unknown key "TQ_WORKRS": did you mean TQ_WORKERS\?$/],
    ['{"constructor": 5}', /tq\.json has the unknown key "constructor": see docs\/settings\.md$/],
    ['{"TQ_WORKERS": "x"}', /^TQ_WORKERS is "x": allowed: /],
    ["{bad", /tq\.json is not JSON: /],
    ["[]", /tq\.json is not a JSON object: write /],
  ];
  for (const [text, message] of files) {
    await Deno.writeTextFile(join(project.path, "tq.json"), text);
    assert.match(await refusal(project, 2, ["tasks"]), message);
  }
  // A new tq is tried with it before it takes the old one's place.
  assert.match(await refusal(project, 2, ["self-test"]), files.at(-1)![1]);
});

needTest(
  ["postgres"],
  "an unknown TQ_… in the environment is warned of once, with the nearest name",
  async () => {
    await using project = await Project.make({ servers: "postgres", handlers: NONE });
    const ended = await tq(project, ["tasks"], { environment: { TQ_WORKER: "3", TQ_ZZZZZZZZ: "1" } });
    assert.deepEqual([ended.code, ended.stdout], [0, "no tasks\n"]);
    assert.deepEqual(ended.stderr.split("\n"), [
      "tq: warning: TQ_WORKER in the environment is no setting: did you mean TQ_WORKERS?",
      "tq: warning: TQ_ZZZZZZZZ in the environment is no setting: see docs/settings.md",
      "",
    ]);
    await using engine = await project.start({ TQ_WORKER: 3 } as Record<string, number>);
    assert.match(await engine.logged(/TQ_WORKER/), /Unknown setting .* name=TQ_WORKER meant=TQ_WORKERS$/);
    await engine.stop();
    assert.equal(engine.count(/TQ_WORKER/), 1, "the engine does not say it again");
  },
);

Deno.test("without a project, a command says what it misses, with 2", async () => {
  await using folder = await tempFolder();
  const nowhere = { path: folder.path, environment: cleanEnvironment() };
  await forEach(RECORD_COMMANDS, async (args) => {
    assert.match(
      await refusal(nowhere, 2, args, { stdin: LINE }),
      /^no database: TQ_DATABASE_URL is not set, and neither tq\.json nor handlers\/ is here or above: set TQ_D/,
    );
  });
  assert.match(
    await refusal(nowhere, 2, ["handlers"]),
    /^no handlers folder, .*: run tq inside your project/,
  );
  assert.match(await refusal(nowhere, 2, ["run"]), /^no var folder, .*: run tq inside your project/);
  assert.match(await refusal(nowhere, 2, ["demo"]), /^no var folder, .*: run tq inside your project/);
  const spool = ["publish", "demo.Report", "run", "--spool"];
  const environment = { TQ_DATABASE_URL: `postgres://127.0.0.1:${freePort()}/x` };
  assert.match(await refusal(nowhere, 2, spool, { environment }), /^no var folder, /);
  assert.deepEqual([...Deno.readDirSync(folder.path)], [], "nothing was made");
});

needTest(["postgres"], "var/ that belongs to another database is told by both names, with 2", async () => {
  await using project = await Project.make({ servers: "postgres", handlers: NONE });
  await Deno.mkdir(project.varFolder);
  await Deno.writeTextFile(join(project.varFolder, "database"), "postgres://db:5432/shop schema tq\n");
  await forEach(RECORD_COMMANDS, async (args) => {
    const message = await refusal(project, 2, args, { stdin: LINE });
    assert.match(
      message,
      /var belongs to postgres:\/\/db:5432\/shop schema tq, but the settings name postgres:\/\//,
    );
    assert.match(message, /: set TQ_DATABASE_URL, or remove .*var\/database if it has moved$/);
  });
  const environment = { TQ_DATABASE_URL: undefined };
  const message = await refusal(project, 2, ["publish", "demo.Report", "run"], { environment });
  assert.match(message, /but the settings name the embedded database: /);
  assert.deepEqual([...Deno.readDirSync(project.varFolder)].map(({ name }) => name), ["database"]);
  assert.equal(await project.record!.count(), 0);
});

Deno.test("tq run refuses bad options, and ends with 75 while Postgres cannot be reached", async () => {
  await using project = await bareProject();
  const bad: readonly (readonly [readonly string[], RegExp])[] = [
    [["--workers", "0"], /^TQ_WORKERS is "0": allowed: a whole number from 1 to 10000$/],
    [["--processes", "x"], /^TQ_PROCESSES is "x": allowed: /],
    [["--subscribe", "a:0"], /^TQ_SUBSCRIBE is "a:0": allowed: /],
    [["extra"], /^run takes no arguments and got 1: /],
  ];
  await forEach(bad, async ([args, message]) => {
    assert.match(await refusal(project, 2, ["run", ...args]), message);
  });
  const environment = { TQ_DATABASE_URL: `postgres://127.0.0.1:${freePort()}/x` };
  const { code, stdout, stderr } = await tq(project, ["run"], { environment });
  assert.deepEqual([code, stdout], [75, ""]);
  assert.match(
    stderr.trimEnd().split("\n").at(-1)!,
    /^tq: Postgres is unreachable \(.*\): see that it runs /,
  );
});
