import assert from "node:assert/strict";
import { judgeAutovacuum, judgeBloat, judgeDeadRows } from "../../src/doctor/tables.ts";
import type { RelationFacts, TableFacts } from "../../src/store/health.ts";

const MIB = 1024 * 1024;

function table(more: Partial<TableFacts> = {}): TableFacts {
  return { name: "tasks", live: 100_000, dead: 0, vacuumed: 60, optedOut: false, ...more };
}

function relation(more: Partial<RelationFacts> = {}): RelationFacts {
  return { name: "tasks", kind: "table", bytes: 200 * MIB, wasted: 10 * MIB, ...more };
}

Deno.test("autovacuum: off in the server or for a table is bad; the embedded database has none", () => {
  const judge = (autovacuum: boolean, tables: TableFacts[], embedded = false) =>
    judgeAutovacuum({ autovacuum }, tables, "tq", embedded);
  assert.equal(judge(true, [table()]).level, "ok");
  assert.equal(judge(false, [table()]).level, "bad");
  assert.equal(judge(false, [table()], true).level, "note");
  const off = judge(true, [table(), table({ name: "task_logs", optedOut: true })]);
  assert.equal(off.level, "bad");
  assert.equal(off.found, "it is off for tq.task_logs");
  assert.equal(off.remedy, "alter table tq.task_logs reset (autovacuum_enabled)");
});

Deno.test("dead rows: warned of when there are many, of a good part, and vacuum does not come", () => {
  const level = (more: Partial<TableFacts>, embedded = false) =>
    judgeDeadRows([table({ name: "leader", live: 1 }), table(more)], "tq", embedded).level;
  const many = { dead: 50_000, vacuumed: 3600 };
  assert.equal(level(many), "warning");
  assert.equal(level({ ...many, vacuumed: null }), "warning");
  assert.equal(level({ ...many, vacuumed: 60 }), "ok", "vacuum has just been there");
  assert.equal(level({ ...many, live: 1_000_000 }), "ok", "a twentieth of the table");
  assert.equal(level({ dead: 9000, live: 0, vacuumed: null }), "ok", "a small table");
  assert.equal(level(many, true), "warning");
});

Deno.test("dead rows: tells of the worst table, and counts all of them when it is well", () => {
  const tables = [
    table({ name: "task_logs", dead: 60_000, vacuumed: null }),
    table({ dead: 90_000, vacuumed: 7200 }),
  ];
  const found = judgeDeadRows(tables, "shop", false);
  assert.equal(found.found, "90000 in tasks, which has 100000 live ones and was vacuumed 120 minutes ago");
  assert.equal(found.remedy, "vacuum (analyze) shop.tasks");
  assert.equal(judgeDeadRows([table({ dead: 50 }), table({ dead: 25 })], "tq", false).found, "75 of 200075");
});

Deno.test("bloat: warned of when most of something large is empty, each with its own remedy", () => {
  const levels = (...relations: RelationFacts[]) => judgeBloat(relations, "tq").map(({ level }) => level);
  assert.deepEqual(levels(relation(), relation({ kind: "index" })), ["ok"]);
  assert.deepEqual(levels(relation({ wasted: 150 * MIB })), ["warning"]);
  assert.deepEqual(levels(relation({ wasted: 80 * MIB })), ["ok"], "less than half");
  assert.deepEqual(levels(relation({ bytes: 60 * MIB, wasted: 59 * MIB })), ["ok"], "small");
  assert.deepEqual(levels(relation({ wasted: null })), ["ok"], "never analysed");
  const [heap, index] = judgeBloat([
    relation({ wasted: 150 * MIB }),
    relation({ name: "tasks_ready", kind: "index", wasted: 190 * MIB }),
    relation({ name: "task_logs" }),
  ], "tq");
  assert.equal(heap?.found, "the table tasks takes 200 MiB, of which about 150 MiB are empty");
  assert.match(heap.remedy ?? "", /vacuum \(full\) tq\.tasks/);
  assert.equal(index?.remedy, "reindex index concurrently tq.tasks_ready");
});

Deno.test("bloat: tells sizes when it is well", () => {
  const relations = [
    relation({ bytes: 1.5 * MIB }),
    relation({ kind: "index", bytes: 512 * 1024 }),
    relation({ kind: "index", bytes: 512 * 1024 - 8192 }),
  ];
  assert.equal(judgeBloat(relations, "tq")[0]?.found, "tables take 1.5 MiB, indexes 1016 KiB");
});
