import assert from "node:assert/strict";
import { join } from "node:path";
import { EMBEDDED_TRAITS, embeddedUrl, stopEmbedded } from "../../src/store/embedded.ts";
import { Store } from "../../src/store/mod.ts";
import { eventually, tempFolder } from "../support/fixtures.ts";
import { livingOf, processTable, signal } from "../support/processes.ts";
import { idsOf, publish } from "../support/tasks.ts";
import { query, Wire } from "../support/wire.ts";

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
        using culprit = await Wire.connect(Number(new URL(await embeddedUrl(path, SCHEMA)).port));
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
