import type { Task } from "@tq/tq";

/** What a report is asked for with. */
type Order = { id: number; kind?: string };

/** The handlers that `tq demo` runs; a start for your own. */
export default class Report {
  /** Succeeds, and keeps a result. */
  static async on_tq_run_summary(task: Task<Order>): Promise<void> {
    task.progress(0.5, "half way");
    await new Promise((resolve) => setTimeout(resolve, 50));
    task.completed({ report: task.data.id, kind: task.data.kind ?? "DAILY", lines: 3 });
  }

  /** Fails for good: no retry will find what is not there. */
  static on_tq_find_transactions(task: Task<Order>): void {
    task.failed("could not find transactions");
  }

  /** Throws at its first attempt, so it is run again a second later. */
  static on_tq_flaky(task: Task<Order>): void {
    if (task.attempts === 1) throw new Error("the ledger is locked");
    task.log(`worked at attempt ${task.attempts}`);
  }
}
