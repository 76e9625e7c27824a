import assert from "node:assert/strict";
import { storeSuite } from "../support/store_suite.ts";
import { CHANNEL, fieldsOf, idsOf, publish, publishOne, recordOf } from "../support/tasks.ts";

const ENGINE = crypto.randomUUID();

storeSuite((test) => {
  test("claim() makes ready rows the engine's and counts the claim", async ({ store }) => {
    const ids = await publish(store, 3, {
      priority: 7,
      max_attempts: 2,
      timeout_seconds: 60,
      trace_parent: "00-a",
    });
    const rows = await store.claim(ids, ENGINE);
    assert.deepEqual(idsOf(rows), ids);
    assert.deepEqual(rows.find((row) => row.id === ids[0]), {
      id: ids[0],
      claims: 1,
      attempts: 0,
      max_attempts: 2,
      timeout_seconds: 60,
      channel: CHANNEL,
      model: "myapp.Report",
      fname: "summary",
      data: `{"id": ${ids[0]}}`,
      trace_parent: "00-a",
    });
    const record = await recordOf(store, ids[0]!);
    assert.deepEqual([record.state, record.claims, record.engineId, record.attempts], [1, 1, ENGINE, 0]);
    assert.ok(record.startedAt !== null && record.startedAt >= record.created);
    assert.equal(record.modified.getTime(), record.startedAt.getTime());
  });
});
