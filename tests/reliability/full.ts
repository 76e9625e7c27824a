/**
 * `deno run -A tests/reliability/full.ts [name…]`: the scenarios with the numbers that were asked for. Prints what
 * was asked and what was seen; exits 1 when something was not as asked. With `TQ_TEST_EXECUTABLE` hosts run that
 * compiled tq instead of the source.
 *
 * @module
 */

import type { Size } from "./scenario.ts";
import { SCENARIOS } from "./scenarios/mod.ts";

const quick = Deno.args.includes("--quick");
const names = Deno.args.filter((name) => name !== "--quick");
for (const name of names) {
  if (SCENARIOS.some((scenario) => scenario.name === name)) continue;
  console.error(`no scenario ${name}: ${SCENARIOS.map((scenario) => scenario.name).join(", ")}`);
  Deno.exit(2);
}
const size: Size = quick ? "quick" : "full";
let failures = 0;
for (const scenario of SCENARIOS) {
  if (names.length > 0 && !names.includes(scenario.name)) continue;
  const started = performance.now();
  console.log(`${scenario.name}: ${scenario.what} (${size}, load ${Deno.loadavg()[0]!.toFixed(1)})`);
  try {
    const sheet = await scenario.run(size);
    console.log(String(sheet));
    failures += sheet.failed.length;
  } catch (error) {
    console.log(`  FAIL ${error instanceof Error ? error.stack : error}`);
    failures++;
  }
  console.log(`  took ${Math.round((performance.now() - started) / 1000)} s\n`);
}
console.log(failures === 0 ? "all as asked" : `${failures} not as asked`);
Deno.exit(failures === 0 ? 0 : 1);
