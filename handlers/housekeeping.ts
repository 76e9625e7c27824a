import type { Task } from "@tq/tq";

/**
 * A module of functions: `tq publish housekeeping on_tq_clean_folder '{"folder": "/tmp/reports", "days": 30}'`.
 * Deletes files that were not changed for so many days.
 */
export async function on_tq_clean_folder(task: Task<{ folder: string; days: number }>): Promise<void> {
  const { folder, days } = task.data;
  if (typeof folder !== "string" || !(days > 0)) return task.failed("give a folder and days");
  const before = Date.now() - days * 86_400_000;
  const removed: string[] = [];
  for await (const { name, isFile } of Deno.readDir(folder)) {
    task.signal.throwIfAborted();
    const path = `${folder}/${name}`;
    if (!isFile || ((await Deno.stat(path)).mtime?.getTime() ?? Infinity) >= before) continue;
    await Deno.remove(path);
    removed.push(name);
  }
  task.completed({ removed });
}

/** Publishes other tasks: one for each id, at most five of them at once if you subscribe to `reports:5`. */
export async function on_tq_fan_out(task: Task<{ ids: number[] }>): Promise<void> {
  const published: number[] = [];
  for (const id of task.data.ids) {
    published.push(
      await task.publish("demo.Report", "on_tq_run_summary", { id }, {
        // The same key when this task is run again: nothing is published twice.
        key: `fan-out ${task.id} ${id}`,
      }),
    );
  }
  task.completed({ published });
}
