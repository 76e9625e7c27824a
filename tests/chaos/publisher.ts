/**
 * A publisher of the chaos test, a process of its own: publishes steadily and writes down every id that it was told,
 * as soon as it was told. Arguments: the file, tasks a second, the publisher's name.
 *
 * @module
 */

import { TaskQueue } from "../../mod.ts";

const [file = "", rate = "100", name = ""] = Deno.args;
const queue = new TaskQueue({}, { patience: 60 });
const told = Deno.openSync(file, { append: true, create: true });
const encoder = new TextEncoder();
const STEP = 50;

function spec(n: number) {
  const kind = n % 50;
  if (kind === 0) return { fname: "flaky", data: { n }, options: { maxAttempts: 5 } };
  if (kind === 1) return { fname: "work", data: { n, ms: 1500 }, options: {} };
  if (kind === 2) return { fname: "work", data: { n, ms: 5 }, options: { delay: 1 + (n % 5) } };
  if (kind === 3) return { fname: "work", data: { n, ms: 1 }, options: { priority: (n % 3) - 1 } };
  if (kind === 4) return { fname: "work", data: { n, ms: 1 }, options: { key: `${name} ${n}` } };
  return { fname: "work", data: { n, ms: n % 40 }, options: {} };
}

let n = 0;
let waiting = 0;
for (;;) {
  const batch = Math.ceil(Number(rate) * STEP / 1000);
  for (let i = 0; i < batch && waiting < 5000; i++, n++) {
    const { fname, data, options } = spec(n);
    waiting++;
    queue.publish("chaos.Work", fname, { by: name, ...data }, options).then(
      (id) => told.writeSync(encoder.encode(`${id}\n`)),
      () => {},
    ).finally(() => waiting--);
  }
  await new Promise((resolve) => setTimeout(resolve, STEP));
}
