/** What a command makes of the environment that it finds: the right project and the right database, or one clear error. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { stopEmbedded } from "../../src/store/embedded.ts";
import { forEach, printed, RECORD_COMMANDS, refusal, tq } from "../cli/run_tq.ts";
import { tempFolder } from "../support/fixtures.ts";
import { needTest } from "../support/need.ts";
import { Project } from "../support/tq.ts";

const HANDLERS = { "app.js": `export function run(task) { task.completed("here"); }` };
const SPEC = '{"model": "app", "fname": "run"}\n';
/** Where Deno keeps packages, which it otherwise finds by HOME. */
const DENO_DIR = await denoFolder();

/** Commands that read or write the record, and the one that keeps a task while Postgres is away. */
const COMMANDS = [...RECORD_COMMANDS, ["publish", "app", "run", "--spool"]];
/** Commands that would start an engine. */
const STARTING: readonly (readonly string[])[] = [["start"], ["periodic"], ["restart"], ["run"]];

/** Nothing but these settings: no PATH, no HOME. */
function bare(path: string, settings: Readonly<Record<string, string>> = {}) {
  return { path, environment: { DENO_DIR, ...settings } };
}

async function denoFolder(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}

/** The settings of a project's record. */
function recordOf(project: Project): Record<string, string> {
  return { ...project.record?.settings().given };
}

function names(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

needTest(["postgres"], "in a bare environment the root is TQ_ROOT, else the nearest above", async () => {
  await using project = await Project.make({ servers: "postgres", handlers: HANDLERS });
  const record = recordOf(project);
  const deep = join(project.path, "deep/er");
  await Deno.mkdir(deep, { recursive: true });
  await using other = await tempFolder();
  await Deno.mkdir(join(other.path, "handlers"));
  const places: readonly [folder: string, settings: Record<string, string>][] = [
    ["/", { TQ_ROOT: project.path }],
    [other.path, { TQ_ROOT: project.path }],
    [join(project.path, "handlers"), { TQ_ROOT: ".." }],
    [project.path, {}],
    [deep, {}],
    [join(project.path, "handlers"), {}],
  ];
  await forEach(places, async ([folder, settings]) => {
    const listed = await printed(bare(folder, settings), ["handlers"]);
    assert.match(listed, /^app run +app\.js$/m, folder);
    await printed(bare(folder, { ...record, ...settings }), ["publish", "app", "run"]);
  });
  assert.equal(await project.record!.count(), places.length);
  assert.deepEqual(names(other.path), ["handlers"]);
});

Deno.test("in a bare environment without a project, each command says so, with 2", async () => {
  await using folder = await tempFolder();
  const place = bare(folder.path);
  await forEach(COMMANDS, async (args) => {
    assert.match(
      await refusal(place, 2, args, { stdin: SPEC }),
      /^no database: TQ_DATABASE_URL is not set, /,
    );
  });
  const rest = [...STARTING, ["stop"], ["reload"], ["status"], ["logs"], ["periodic", "--install"]];
  await forEach(rest, async (args) => {
    assert.match(await refusal(place, 2, args), /^no (var|root) folder, as neither tq\.json nor handlers\/ /);
  });
  const missing = bare("/", { TQ_ROOT: join(folder.path, "gone") });
  await forEach([...COMMANDS, ...rest], async (args) => {
    assert.match(await refusal(missing, 2, args), /^TQ_ROOT is ".*\/gone", which is not a folder: /);
  });
  assert.deepEqual(names(folder.path), []);
});

needTest(
  ["postgres", "redis"],
  "without TQ_DATABASE_URL nothing is done in a project that belongs to a Postgres, and the engine runs on",
  async () => {
    await using project = await Project.make({ servers: "redis", handlers: HANDLERS });
    await using _stop = { [Symbol.asyncDispose]: async () => void await project.command("stop", "--now") };
    const started = await project.command("start");
    assert.equal(started.code, 0, started.stderr);
    const kept = names(project.varFolder);
    // As from cron: its folder is another, its environment has the root at most.
    const line = bare("/", { TQ_ROOT: project.path });
    const told =
      /var belongs to postgres:\/\/.* schema tq_test_\w+, but the settings name the embedded database: /;
    const refused = (args: readonly string[]) => refusal(line, 2, args, { stdin: SPEC });
    await forEach([...COMMANDS, ["periodic"], ["restart"]], async (args) => {
      assert.match(await refused(args), told, args.join(" "));
    });
    const status = JSON.parse(await printed(line, ["status", "--json"]));
    assert.ok(status.running && !status.record.reachable);
    assert.match(status.record.problem, told);
    assert.equal(await project.record!.count(), 0);

    const id = await project.queue.publish("app", "run");
    assert.equal((await project.ended(id)).result, "here");
    assert.deepEqual(names(project.varFolder), kept, "no database and no spool");
    // These need no record, and mean the one engine that is there.
    assert.equal(await printed(line, ["reload"]), "reloaded\n");
    assert.equal(await printed(line, ["stop"]), "stopped\n");
    // One after the other: each looks for an engine first, and would take another for it that is about to be refused.
    for (const args of STARTING) assert.match(await refused(args), told, args.join(" "));
    assert.equal((await tq(line, ["status"])).code, 1);
  },
);

needTest(
  ["postgres"],
  "with another database than the project's nothing is done, there or here",
  async () => {
    await using project = await Project.make({ servers: "postgres", handlers: HANDLERS });
    const record = recordOf(project);
    const embedded = bare(project.path);
    // Published where no engine has run yet: from here on the project belongs to the embedded database.
    assert.equal(await printed(embedded, ["publish", "app", "run"]), "1\n");
    try {
      const server = bare(project.path, record);
      const told =
        /var belongs to the embedded database, but the settings name postgres:\/\/.* schema tq_test_/;
      const refused = async (args: readonly string[]) =>
        assert.match(await refusal(server, 2, args, { stdin: SPEC }), told, args.join(" "));
      await forEach(COMMANDS, refused);
      for (const args of STARTING) await refused(args);
      assert.equal(await project.record!.count(), 0);
      assert.equal(JSON.parse(await printed(embedded, ["tasks", "--json"])).length, 1);
    } finally {
      // Which the project does not do for one that is on Postgres.
      await stopEmbedded(project.varFolder);
    }

    const remembered = join(project.varFolder, "database");
    await Deno.remove(remembered);
    assert.equal(await printed(bare(project.path, record), ["publish", "app", "run"]), "1\n");
    await Deno.writeTextFile(remembered, `postgres://db:5432/shop schema tq\n`);
    const others = [record, { ...record, TQ_SCHEMA: "tq" }, {
      ...record,
      TQ_DATABASE_URL: "postgres://db/other",
    }];
    await forEach(others, async (settings) => {
      const message = await refusal(bare(project.path, settings), 2, ["publish", "app", "run"]);
      assert.match(
        message,
        /var belongs to postgres:\/\/db:5432\/shop schema tq, but the settings name postgres/,
      );
    });
    assert.equal(await project.record!.count(), 1);
  },
);
