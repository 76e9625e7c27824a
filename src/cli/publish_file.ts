/**
 * `tq publish --file`: many tasks, a JSON object a line.
 *
 * @module
 */

import { InputError, TqError } from "../errors.ts";
import type { PublishOptions } from "../publish/options.ts";
import type { TaskQueue, TaskSpec } from "../publish/queue.ts";
import type { Settings } from "../settings.ts";
import { openQueue, prepare } from "./context.ts";
import { print, printJson } from "./output.ts";
import { progressBar, toldSoFar } from "./progress.ts";
import { moment, type PublishFlags, publishOptionsOf, seconds, staleAfter } from "./publish_options.ts";
import { linesOf, openFile } from "./read.ts";

/** Lines that are published together, and their bytes at most. */
const CHUNK = 2000;
const CHUNK_BYTES = 8 * 1024 * 1024;

const FORM = 'write {"model": …, "fname": …, "data": {…}}';

/** A task and the line it stands on. */
interface Line {
  readonly number: number;
  readonly size: number;
  readonly task: TaskSpec;
}

/** Turns a line's text into a task; throws an `InputError` for a bad one. */
type Read = (text: string) => TaskSpec;

/**
 * Publishes the tasks in a file, or on stdin (`-`). A file is checked whole before anything is published; of what
 * can be read only once, a pipe, what stands before a bad line is published.
 */
export async function publishFile(path: string, flags: PublishFlags & { spool?: true }): Promise<void> {
  const { key, unique, wait, spool, ...common } = flags;
  if ([key, unique, wait, spool].some((flag) => flag !== undefined)) {
    throw new InputError("--key, --unique, --wait and --spool do not go with --file", {
      remedy: "write key and unique into the lines",
    });
  }
  const options = publishOptionsOf(common);
  const settings = await prepare();
  const checked = await reader(settings, options);
  const longest = longestLine(settings);
  let source = path === "-" ? Deno.stdin : await openFile(path);
  let total = 0;
  if (source instanceof Deno.FsFile && (await source.stat()).isFile) {
    for await (const _ of tasksIn(source.readable, longest, checked)) total++;
    source = await openFile(path);
  }
  await using queue = await openQueue(settings);
  const publishing = new Publishing(queue);
  {
    using bar = await progressBar(total);
    await publishing.all(tasksIn(source.readable, longest, checked), (count) => bar.update(count));
  }
  const { count, first, last } = publishing;
  if (flags.json) printJson({ count, first, last });
  else if (count === 0) print("nothing to publish");
  else print(count === 1 ? `published task ${first}` : `published ${count} tasks, ${first} to ${last}`);
}

/** Publishes lines in chunks, and knows how far it came. */
class Publishing {
  count = 0;
  first: number | undefined;
  last: number | undefined;
  readonly #queue: TaskQueue;
  #line = 0;
  #chunk: Line[] = [];
  #bytes = 0;

  constructor(queue: TaskQueue) {
    this.#queue = queue;
  }

  async all(lines: AsyncIterable<Line>, progress: (count: number) => void): Promise<void> {
    try {
      try {
        for await (const line of lines) {
          this.#chunk.push(line);
          this.#bytes += line.size;
          if (this.#chunk.length < CHUNK && this.#bytes < CHUNK_BYTES) continue;
          await this.#flush();
          progress(this.count);
        }
      } catch (error) {
        // A bad line: those before it are good.
        if (error instanceof InputError) await this.#flush();
        throw error;
      }
      await this.#flush();
    } catch (error) {
      throw this.#told(error);
    }
  }

  async #flush(): Promise<void> {
    const chunk = this.#chunk;
    [this.#chunk, this.#bytes] = [[], 0];
    const ids = await this.#queue.publishMany(chunk.map((line) => line.task));
    this.first ??= ids[0];
    this.last = ids.at(-1) ?? this.last;
    this.count += ids.length;
    this.#line = chunk.at(-1)?.number ?? this.#line;
  }

  /** An error that says how far publishing came before it. */
  #told(error: unknown): unknown {
    if (this.count === 0 || !(error instanceof TqError)) return error;
    // When the connection is lost, more of the last chunk may be committed than was answered.
    const least = error instanceof InputError ? "" : "at least ";
    const published = `${least}${this.count} tasks are published, up to line ${this.#line}`;
    return toldSoFar(error, published);
  }
}

async function* tasksIn(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  longest: number,
  read: Read,
): AsyncGenerator<Line> {
  let number = 1;
  try {
    for await (const text of linesOf(stream, longest)) {
      if (text.trim() !== "") yield { number, size: text.length, task: read(text) };
      number++;
    }
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(`line ${number}: ${error.message}`, {
      cause: error,
      ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
    });
  }
}

/** Bytes: JSON may spell a character as an escape of six. */
function longestLine(settings: Settings): number {
  return 6 * settings.TQ_MAX_DATA + 64 * 1024;
}

/** Reads and checks a line; what it says goes before `common`. */
async function reader(settings: Settings, common: PublishOptions): Promise<Read> {
  const { checkKind } = await import("../publish/options.ts");
  const { encodeObject } = await import("../publish/encode.ts");
  return (text) => {
    const task = taskOf(text, common);
    checkKind(task.model, task.fname, task.options);
    encodeObject(task.data, "data", settings.TQ_MAX_DATA);
    return task;
  };
}

function taskOf(text: string, common: PublishOptions): TaskSpec {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new InputError("not JSON", { cause: error, remedy: FORM });
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new InputError("not a JSON object", { remedy: FORM });
  }
  // Programs that write JSON write null for what is not given.
  const given = Object.entries(parsed).filter(([, value]) => value !== null);
  const { model, fname, data = {}, ...options } = Object.fromEntries(given);
  if (model === undefined || fname === undefined) {
    throw new InputError(`${model === undefined ? "model" : "fname"} is missing`, { remedy: FORM });
  }
  for (const [name, read] of READ) {
    if (typeof options[name] === "string") options[name] = read(options[name]);
  }
  // What all of these are is checked by the caller.
  return { model, fname, data, options: { ...common, ...options } };
}

/** Options that JSON holds as text and tq does not. */
const READ: readonly (readonly [string, (text: string) => unknown])[] = [
  ["delay", (text) => seconds("delay", text)],
  ["timeout", (text) => seconds("timeout", text)],
  ["at", (text) => moment("at", text)],
  ["staleAfter", (text) => staleAfter("staleAfter", text)],
];
