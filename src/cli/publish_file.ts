/**
 * `tq publish --file`: many tasks, a JSON object a line.
 *
 * @module
 */

import { TextLineStream } from "./text_lines.ts";
import { describe, InputError } from "../errors.ts";
import type { TaskQueue, TaskSpec } from "../publish/queue.ts";
import type { JsonObject } from "../task.ts";
import { openQueue, prepare } from "./context.ts";
import { print, printJson } from "./output.ts";
import { type PublishFlags, publishOptionsOf } from "./publish_options.ts";

/** Lines that are published together. */
const CHUNK = 2000;

/** Publishes the tasks in a file, or on stdin (`-`). A file is checked whole before anything is published. */
export async function publishFile(path: string, flags: PublishFlags): Promise<void> {
  const { key, unique, wait, ...common } = flags;
  if (key !== undefined || unique !== undefined || wait !== undefined) {
    throw new InputError("--key, --unique and --wait do not go with --file", {
      remedy: "write key and unique into the lines",
    });
  }
  const options = publishOptionsOf(common);
  const { checkKind } = await import("../publish/options.ts");
  const { encodeObject } = await import("../publish/encode.ts");
  const settings = await prepare();
  const check = (spec: TaskSpec) => {
    checkKind(spec.model, spec.fname, spec.options);
    encodeObject(spec.data ?? {}, "data", settings.TQ_MAX_DATA);
  };
  let total = 0;
  if (path !== "-") {
    for await (const specs of chunksOf(path, options)) {
      for (const { spec, line } of specs) named(line, () => check(spec));
      total += specs.length;
    }
  }
  await using queue = await openQueue(settings);
  const bar = await progressBar(total);
  let count = 0;
  let first: number | undefined;
  let last: number | undefined;
  try {
    for await (const specs of chunksOf(path, options)) {
      const ids = await publishChunk(queue, specs, path === "-" ? check : undefined);
      first ??= ids[0];
      last = ids.at(-1) ?? last;
      count += ids.length;
      bar.update(count);
    }
  } catch (error) {
    bar.stop();
    if (count === 0) throw error;
    throw new InputError(`${describe(error)} (${count} tasks before it were published)`, { cause: error });
  }
  bar.stop();
  if (flags.json) printJson({ count, first, last });
  else print(count === 0 ? "nothing to publish" : `published ${count} tasks, ${first} to ${last}`);
}

interface NumberedSpec {
  readonly spec: TaskSpec;
  readonly line: number;
}

async function publishChunk(
  queue: TaskQueue,
  specs: readonly NumberedSpec[],
  check: ((spec: TaskSpec) => void) | undefined,
): Promise<number[]> {
  if (check !== undefined) { for (const { spec, line } of specs) named(line, () => check(spec)); }
  return await queue.publishMany(specs.map((one) => one.spec));
}

async function* chunksOf(path: string, options: TaskSpec["options"]): AsyncGenerator<NumberedSpec[]> {
  let chunk: NumberedSpec[] = [];
  let line = 0;
  for await (const text of await linesOf(path)) {
    line++;
    if (text.trim() === "") continue;
    chunk.push({ spec: named(line, () => parseLine(text, options)), line });
    if (chunk.length === CHUNK) {
      yield chunk;
      chunk = [];
    }
  }
  if (chunk.length > 0) yield chunk;
}

async function linesOf(path: string): Promise<ReadableStream<string>> {
  let bytes: ReadableStream<Uint8Array<ArrayBuffer>>;
  try {
    bytes = path === "-" ? Deno.stdin.readable : (await Deno.open(path)).readable;
  } catch (error) {
    throw new InputError(`cannot read ${path}`, { cause: error, remedy: (error as Error).message });
  }
  return bytes.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
}

function parseLine(text: string, common: TaskSpec["options"]): TaskSpec {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new InputError("is not JSON", {
      cause: error,
      remedy: 'write {"model": …, "fname": …, "data": {…}}',
    });
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new InputError("is not a JSON object", { remedy: 'write {"model": …, "fname": …, "data": {…}}' });
  }
  const { model, fname, data, at, staleAfter, ...rest } = parsed as Record<string, unknown>;
  const options: Record<string, unknown> = { ...common, ...rest };
  if (at !== undefined) options.at = new Date(String(at));
  if (staleAfter !== undefined) {
    options.staleAfter = typeof staleAfter === "number" ? staleAfter : new Date(String(staleAfter));
  }
  return { model: String(model), fname: String(fname), data: (data ?? {}) as JsonObject, options };
}

/** Runs `fn`; an input error of it names the line. */
function named<T>(line: number, fn: () => T): T {
  try {
    return fn();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(`line ${line}: ${error.message}`, {
      cause: error,
      ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
    });
  }
}

/** A bar on a terminal, nothing elsewhere. */
async function progressBar(total: number): Promise<{ update(count: number): void; stop(): void }> {
  if (!Deno.stderr.isTerminal() || total === 0) return { update: () => {}, stop: () => {} };
  const { SingleBar } = await import("npm:cli-progress@3.12.0");
  const bar = new SingleBar({
    format: "{bar} {value}/{total} tasks, {eta_formatted} left",
    clearOnComplete: true,
  });
  bar.start(total, 0);
  return { update: (count) => bar.update(count), stop: () => bar.stop() };
}
