import assert from "node:assert/strict";
import { needTest } from "../support/need.ts";
import { chaos } from "./run.ts";

// A minute each, with seeds that stay: what fails here once can be made to fail again.
for (const seed of [1, 2, 3]) {
  needTest(
    ["postgres-binaries", "redis-binaries"],
    `nothing is lost under random faults, seed ${seed}`,
    async () => {
      const { ok, faults } = await chaos(seed, 1, 100);
      assert.ok(faults >= 10, `only ${faults} faults`);
      assert.ok(ok, "see the problems above");
    },
    { sanitizeOps: false, sanitizeResources: false },
  );
}
