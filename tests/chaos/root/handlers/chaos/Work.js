import { realNow } from "../../../skew.ts";

// Every start and end of a handler goes into a file of this process: the record itself is what is on trial.
const folder = Deno.env.get("CHAOS_RUNS");
const file = Deno.openSync(`${folder}/${Deno.pid}`, { append: true, create: true });
const encoder = new TextEncoder();
const note = (what, task) =>
  file.writeSync(encoder.encode(`${what} ${task.id} ${task.attempts} ${realNow()}\n`));

export default class Work {
  static async work(task) {
    note("start", task);
    await new Promise((resolve) => setTimeout(resolve, task.data.ms));
    note("end", task);
  }

  /** Throws at its first attempt. */
  static async flaky(task) {
    note("start", task);
    await new Promise((resolve) => setTimeout(resolve, 2));
    if (task.attempts === 1) {
      note("threw", task);
      throw new Error("as agreed");
    }
    note("end", task);
  }
}
