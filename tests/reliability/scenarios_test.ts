import assert from "node:assert/strict";
import { needTest } from "../support/need.ts";
import type { Scenario } from "./scenario.ts";
import { SCENARIOS } from "./scenarios/mod.ts";

// The quick versions; `deno run -A tests/reliability/full.ts` runs them in full.
const NEEDS = ["postgres-binaries", "redis-binaries"] as const;
const CHILDREN = { sanitizeOps: false, sanitizeResources: false } as const;

async function prove({ run }: Scenario): Promise<void> {
  const sheet = await run("quick");
  assert.equal(sheet.failed.length, 0, `\n${sheet}`);
}

needTest(NEEDS, "faults that are waited out", async (t) => {
  // One after the other they would wait for a minute.
  await Promise.all(
    SCENARIOS.filter((one) => one.patient).map((one) =>
      t.step({ name: one.what, fn: () => prove(one), ...CHILDREN, sanitizeExit: false })
    ),
  );
}, CHILDREN);

for (const one of SCENARIOS.filter((one) => !one.patient)) {
  needTest(NEEDS, one.what, () => prove(one), CHILDREN);
}
