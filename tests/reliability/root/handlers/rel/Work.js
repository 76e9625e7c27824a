// Every start and end of a handler goes into a file of this process: the record itself is what is on trial.
const folder = Deno.env.get("REL_FOLDER");
const file = Deno.openSync(`${folder}/runs/${Deno.pid}`, { append: true, create: true });
const encoder = new TextEncoder();
const note = (what, task) => file.writeSync(encoder.encode(`${what} ${task.id} ${Date.now()}\n`));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export default class Work {
  static quick(task) {
    note("start", task);
    note("end", task);
  }

  static async work(task) {
    note("start", task);
    await sleep(task.data.ms);
    note("end", task);
  }

  /** Computes, and lets nobody else have the event loop. */
  static spin(task) {
    note("start", task);
    const until = performance.now() + task.data.ms;
    while (performance.now() < until);
    note("end", task);
  }

  static forever(task) {
    note("start", task);
    while (true);
  }

  /** Its first run does not end by itself. */
  static async stuckOnce(task) {
    const path = `${folder}/gates/${task.id}`;
    const first = await Deno.mkdir(path).then(() => true, () => false);
    note("start", task);
    if (first) {
      await new Promise((_, reject) =>
        task.signal.addEventListener("abort", () => reject(task.signal.reason))
      );
    }
    note("end", task);
  }

  /** Runs until a file appears. */
  static async gated(task) {
    note("start", task);
    for (;;) {
      if (await Deno.stat(`${folder}/gates/${task.data.gate}`).then(() => true, () => false)) break;
      await sleep(10);
    }
    note("end", task);
  }

  static exits(task) {
    note("start", task);
    Deno.exit(1);
  }
}
