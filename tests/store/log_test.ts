import assert from "node:assert/strict";
import type { NoteRow } from "../../src/store/mod.ts";
import { eventually } from "../support/fixtures.ts";
import { storeSuite } from "../support/store_suite.ts";
import { claimOne, publishOne, recordOf, whileLocked } from "../support/tasks.ts";

const ENGINE = crypto.randomUUID();
/** Statements that write lines and wait for somebody. */
const WAITING =
  `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%into :schema.task_logs%'`;

function note(task_id: number, changes: Partial<NoteRow> = {}): NoteRow {
  return { task_id, kind: "log", text: "", progress: null, ...changes };
}

storeSuite((test) => {
  test("writeNotes() appends lines to tasks' logs, in their order", async ({ store }) => {
    const [one, two] = [await publishOne(store), await publishOne(store)];
    await store.writeNotes([
      note(one, { text: "first" }),
      note(two, { text: "of another", kind: "error" }),
      note(one, { text: `second: ' " \\ {} 😀\n` }),
    ], ENGINE);
    await store.writeNotes([note(one, { text: "third" })], ENGINE);
    const log = await store.readLog(one);
    assert.deepEqual(log.map((line) => line.text), ["first", `second: ' " \\ {} 😀\n`, "third"]);
    assert.ok(
      log.every((line) => line.taskId === one && line.kind === "log" && line.created instanceof Date),
    );
    assert.deepEqual((await store.readLog(two)).map((line) => [line.kind, line.text]), [[
      "error",
      "of another",
    ]]);
    assert.deepEqual(await store.readLog(999_999), []);
    await store.writeNotes([], ENGINE);
  });

  test("readLog() reads on from where the last page ended", async ({ store }) => {
    const id = await publishOne(store);
    await store.writeNotes(Array.from({ length: 25 }, (_, i) => note(id, { text: String(i) })), ENGINE);
    const texts: string[] = [];
    for (let after = 0;;) {
      const page = await store.readLog(id, after, 10);
      texts.push(...page.map((line) => line.text));
      if (page.length < 10) break;
      after = page.at(-1)!.id;
    }
    assert.deepEqual(texts, Array.from({ length: 25 }, (_, i) => String(i)));
  });

  test("a log takes whatever is printed: what cannot be stored is replaced, what is too long is cut", async ({ store }) => {
    const id = await publishOne(store);
    await store.writeNotes([
      note(id, { text: "nul \0 half \ud800.", kind: "k\0".repeat(60) }),
      note(id, { text: "x".repeat(70_000) }),
      note(id, { text: "" }), // Nothing to say: no line.
      note(id, { text: "x".repeat(64 * 1024 - 1) + "😀", kind: "k".repeat(49) + "😀" }),
    ], ENGINE);
    const log = await store.readLog(id);
    assert.equal(log.length, 3);
    assert.equal(log[0]?.text, "nul \uFFFD half \uFFFD.");
    assert.equal(log[0]?.kind, "k\uFFFD".repeat(25));
    assert.equal(log[1]?.text.length, 64 * 1024);
    assert.equal(log[2]?.text, "x".repeat(64 * 1024 - 1) + "\uFFFD");
    assert.equal(log[2]?.kind, "k".repeat(49) + "\uFFFD");
  });

  test("writeNotes() sets the last progress of running tasks, and of no others", async ({ store }) => {
    const [one, two] = [await claimOne(store, ENGINE), await claimOne(store, ENGINE)];
    const ready = await publishOne(store);
    const before = await recordOf(store, one.id);
    await store.writeNotes([
      note(one.id, { progress: 0.25, claims: 1 }),
      note(ready, { progress: 0.5, claims: 1 }),
      note(one.id, { progress: 0.75, claims: 1, text: "three quarters", kind: "progress" }),
      note(one.id, { text: "without progress" }),
    ], ENGINE);
    const after = await recordOf(store, one.id);
    assert.equal(after.progress, 0.75);
    assert.deepEqual({ ...after, progress: null }, before);
    for (const id of [two.id, ready]) assert.equal((await recordOf(store, id)).progress, null);
    assert.equal((await store.readLog(one.id)).length, 2);
  });

  test("writeNotes() leaves the progress of a later run alone", async ({ store }) => {
    const other = crypto.randomUUID();
    const { id } = await claimOne(store, ENGINE);
    await store.release([{ id, claims: 1 }], ENGINE, null);
    await store.claim([id], other);
    await store.writeNotes([note(id, { progress: 0.5, claims: 2 })], other);
    await store.writeNotes([note(id, { progress: 0.9, claims: 2 })], ENGINE);
    await store.writeNotes([note(id, { progress: 0.9, claims: 1 }), note(id, { progress: 0.9 })], other);
    assert.equal((await recordOf(store, id)).progress, 0.5);
    // Of two runs in one batch, that which goes on.
    const two = [note(id, { progress: 0.6, claims: 2 }), note(id, { progress: 0.9, claims: 1 })];
    await store.writeNotes(two, other);
    assert.equal((await recordOf(store, id)).progress, 0.6);
  });

  test("writeNotes() that is sent again writes each line once", async (bench) => {
    const { store, another, sql } = bench;
    const { id } = await claimOne(store, ENGINE);
    const lines = ["one", "two"].map((text) => note(id, { text, progress: 0.5, claims: 1 }));
    let writing: Promise<void> | undefined;
    await whileLocked(bench, [id], async () => {
      writing = another().writeNotes(lines, ENGINE, { deadline: 300, patience: 20_000 });
      // The first try, whose connection was given up, goes on as well: both wait.
      await eventually(async () => (await sql(WAITING)).length > 1, { what: "a second try", within: 10_000 });
    });
    await writing;
    await eventually(async () => (await sql(WAITING)).length === 0, { what: "the end of the tries" });
    assert.deepEqual((await store.readLog(id)).map(({ text }) => text), ["one", "two"]);
  }, "Postgres");
});
