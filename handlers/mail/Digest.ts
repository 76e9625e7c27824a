import type { Task } from "@tq/tq";

/** Defaults of a class, and a handler that minds its signal. */
export default class Digest {
  static tq = { timeout: 120, maxAttempts: 3 };

  /** Fetches feeds one by one; stops where it is when it is canceled, timed out or put back. */
  static async on_tq_collect(task: Task<{ urls: string[] }>): Promise<void> {
    const sizes: Record<string, number> = {};
    for (const [i, url] of task.data.urls.entries()) {
      const response = await fetch(url, { signal: task.signal });
      // The receiver is in trouble: try all of it again in a minute.
      if (response.status >= 500) {
        return task.retryLater({ reason: `${url} says ${response.status}`, delay: 60 });
      }
      sizes[url] = (await response.text()).length;
      task.progress((i + 1) / task.data.urls.length);
    }
    task.completed({ sizes });
  }
}
