import assert from "node:assert/strict";
import { join } from "node:path";
import { EMBEDDED_TRAITS, embeddedUrl, stopEmbedded } from "../../src/store/embedded.ts";
import { Store } from "../../src/store/mod.ts";
import { eventually, tempFolder } from "../support/fixtures.ts";
import { livingOf, processTable, signal } from "../support/processes.ts";
import { idsOf, publish } from "../support/tasks.ts";
import { bind, EXECUTE, FLUSH, message, parse, query, SYNC, Wire } from "../support/wire.ts";

const SCHEMA = "tq_embedded";

function storeIn(folder: string): Store {
  const url = () => embeddedUrl(folder, SCHEMA);
  return new Store({
    url,
    schema: SCHEMA,
    connections: 4,
    applicationName: "tq embedded",
    ...EMBEDDED_TRAITS,
  });
}

async function pidIn(folder: string): Promise<number> {
  return JSON.parse(await Deno.readTextFile(join(folder, "db.address"))).pid;
}

// The sanitizers are off: the database is a process that outlives who started it, who therefore waits for no end.
Deno.test({
  name: "the embedded database is one process for all, started when needed, that keeps what it acknowledged",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async (t) => {
    await using folder = await tempFolder();
    const path = folder.path;
    let ids: number[] = [];
    try {
      await t.step("several programs that find none at once start one", async () => {
        const urls = await Promise.all([1, 2].map(() => embeddedUrl(path, SCHEMA)));
        assert.equal(new Set(urls).size, 1);
        const table = await processTable();
        assert.ok(table.has(await pidIn(path)));
        assert.equal((await Deno.stat(join(path, "db.address"))).mode! & 0o077, 0);
        // Those that lost the race for its lock end by themselves.
        const command = (pid: number) =>
          Deno.readTextFileSync(`/proc/${pid}/environ`).includes(`TQ_VAR=${path}\0`);
        if (Deno.build.os !== "linux") return;
        await eventually(async () => {
          const pids = [...(await processTable()).values()].filter((one) => !one.zombie).map((one) =>
            one.pid
          );
          return pids.filter((pid) => quiet(() => command(pid))).length === 1;
        }, { what: "the end of the others", within: 20_000 });
      });

      await t.step("it is migrated, and serves several stores", async () => {
        await using one = storeIn(path);
        await using two = storeIn(path);
        assert.match((await one.open()).install, /^[0-9a-f]{12}$/);
        const published = await Promise.all(
          Array.from({ length: 10 }, (_, i) => publish(i % 2 === 0 ? one : two, 10)),
        );
        ids = published.flat().sort((a, b) => a - b);
        assert.deepEqual(idsOf(await two.get(ids)), ids);
      });

      await t.step("what one client asks is not mixed with what others ask meanwhile", async () => {
        const url = await embeddedUrl(path, SCHEMA);
        using one = await Wire.connect(url);
        using two = await Wire.connect(url);
        for (let round = 0; round < 20; round++) {
          await one.send(parse("select 'one'"), bind(), FLUSH);
          assert.deepEqual(await one.answers(2), ["1", "2"]);
          await two.send(parse("select 'two'"), bind(), EXECUTE, SYNC);
          await one.send(EXECUTE, SYNC);
          assert.deepEqual(await one.answers(3), ["D one", "C SELECT 1", "Z I"]);
          assert.deepEqual(await two.answers(5), ["1", "2", "D two", "C SELECT 1", "Z I"]);
        }
      });

      await t.step("a message is taken as it comes: in pieces, or longer than any buffer", async () => {
        using wire = await Wire.connect(await embeddedUrl(path, SCHEMA));
        for (const byte of query("select 'slow'")) await wire.send(Uint8Array.of(byte));
        assert.deepEqual(await wire.answers(4), ["T", "D slow", "C SELECT 1", "Z I"]);
        await wire.send(query(`select length('${"x".repeat(300_000)}')`), query("select 'next'"));
        assert.deepEqual(await wire.answers(4), ["T", "D 300000", "C SELECT 1", "Z I"]);
        assert.deepEqual(await wire.answers(4), ["T", "D next", "C SELECT 1", "Z I"]);
      });

      await t.step("what is told to be committed does not go with the error of another", async () => {
        const url = await embeddedUrl(path, SCHEMA);
        using wrong = await Wire.connect(url);
        using right = await Wire.connect(url);
        await wrong.send(parse("select 1 / (now() is null)::int"), bind(), FLUSH);
        assert.deepEqual(await wrong.answers(2), ["1", "2"]);
        await right.send(query(`create table ${SCHEMA}.kept ()`));
        await wrong.send(EXECUTE, SYNC);
        assert.deepEqual(await wrong.answers(2), ["E division by zero", "Z I"]);
        assert.deepEqual(await right.answers(2), ["C CREATE TABLE", "Z I"]);
        await right.send(query(`drop table ${SCHEMA}.kept`));
        assert.deepEqual(await right.answers(2), ["C DROP TABLE", "Z I"]);
      });

      await t.step("who is cut off holds up nobody and leaves nothing behind", async () => {
        const url = await embeddedUrl(path, SCHEMA);
        using other = await Wire.connect(url);
        const left = `select concat_ws(' ', to_regclass('${SCHEMA}.cut'), (
          select count(*) from pg_prepared_statements where name = 'cut'))`;
        for (const sql of [`create table ${SCHEMA}.cut ()`, "select bad from nowhere", "begin"]) {
          for (const rest of [[FLUSH], [SYNC]]) {
            using cut = await Wire.connect(url);
            if (rest[0] === SYNC) await cut.send(query("begin"));
            await cut.send(parse(sql, "cut"), bind("cut"), EXECUTE, ...rest);
            await cut.answers(1);
            cut[Symbol.dispose]();
            await other.send(query(left));
            // What it has prepared goes when it is noticed that it has gone, as in Postgres.
            const [, row] = await other.answers(4);
            assert.match(row!, /^D [01]$/, sql);
          }
        }
        await eventually(async () => {
          await other.send(query(left));
          return (await other.answers(4))[1] === "D 0";
        }, { what: "the end of what was prepared" });
      });

      await t.step("who does not speak the protocol is cut off, and nobody else", async () => {
        const url = await embeddedUrl(path, SCHEMA);
        using other = await Wire.connect(url);
        const pid = await pidIn(path);
        for (const nonsense of ["GET / HTTP/1.1\r\n\r\n", "\0\0\0\0\0\0\0\0", "\0\0\0\x05\0"]) {
          using stranger = await Wire.open(url);
          await stranger.send(new TextEncoder().encode(nonsense));
          assert.equal(await stranger.end(), "", nonsense);
        }
        for (const nonsense of [message("~"), message("d", [1]), Uint8Array.of(81, 0, 0, 0, 3)]) {
          using stranger = await Wire.connect(url);
          await stranger.send(nonsense);
          assert.equal(await stranger.end(), "");
        }
        await other.send(query("select 'well'"));
        assert.deepEqual(await other.answers(4), ["T", "D well", "C SELECT 1", "Z I"]);
        assert.equal(await pidIn(path), pid);
      });

      await t.step("more clients than it takes are told so", async () => {
        const url = await embeddedUrl(path, SCHEMA);
        using stack = new DisposableStack();
        const wires: Wire[] = [];
        for (let i = 0; i < 200; i++) wires.push(stack.use(await Wire.open(url)));
        await eventually(async () => {
          using more = await Wire.open(url);
          return (await more.answers(1))[0] === "E the embedded database has 200 clients already";
        }, { what: "a refusal" });
      });

      await t.step(
        "after kill -9 the next one who needs it starts it again, with all that was committed",
        async () => {
          await using store = storeIn(path);
          await store.get([1]);
          const pid = await pidIn(path);
          const killed = (await processTable()).get(pid)!;
          signal(pid, "SIGKILL");
          await eventually(async () => (await livingOf([killed])).length === 0, { what: "its end" });
          const found = await eventually(() => store.get(ids), { what: "an answer", within: 30_000 });
          assert.deepEqual(idsOf(found), ids);
          assert.notEqual(await pidIn(path), pid);
        },
      );

      await t.step("who breaks it, as COPY does, costs the others a start, and nothing else", async () => {
        const pid = await pidIn(path);
        using culprit = await Wire.connect(await embeddedUrl(path, SCHEMA));
        await culprit.send(query(`copy ${SCHEMA}.install from stdin`));
        await culprit.end();
        await using store = storeIn(path);
        const found = await eventually(() => store.get(ids), { what: "an answer", within: 30_000 });
        assert.deepEqual(idsOf(found), ids);
        assert.notEqual(await pidIn(path), pid);
        assert.match(await Deno.readTextFile(join(path, "db.log")), /ERROR .*has failed error="?[A-Za-z]/);
      });

      await t.step("stopEmbedded() ends it, and does nothing when none runs", async () => {
        const running = (await processTable()).get(await pidIn(path))!;
        await stopEmbedded(path);
        await eventually(async () => (await livingOf([running])).length === 0, { what: "its end" });
        await assert.rejects(Deno.stat(join(path, "db.address")), Deno.errors.NotFound);
        await stopEmbedded(path);
      });
    } finally {
      await stopEmbedded(path);
    }
  },
});

/** What `fn` gives, or undefined: a process may end while it is looked at. */
function quiet<T>(fn: () => T): T | undefined {
  try {
    return fn();
  } catch {
    return undefined;
  }
}
