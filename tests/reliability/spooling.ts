/**
 * Spools tasks in a process that a test may kill: prints the number of each once it is on disk. Arguments: the
 * folder, the first number, and how many.
 *
 * @module
 */

import { newSpoolKey, spoolTask } from "../../src/publish/spool.ts";

const [folder = "", first = "0", count = "1"] = Deno.args;
for (let n = Number(first); n < Number(first) + Number(count); n++) {
  // Some are written in one go, some are not.
  const data = { n, ballast: "x".repeat(n % 2 === 0 ? 10 : 200_000) };
  await spoolTask(folder, { model: "rel.Work", fname: "quick", data, options: { key: newSpoolKey() } });
  console.log(n);
}
