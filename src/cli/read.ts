/**
 * What commands read: stdin, files, JSON, lines.
 *
 * @module
 */

import { InputError, messageOf } from "../errors.ts";

/** JSON from an argument: as it is, `-` for stdin, `@file` for a file. */
export async function readJson(text: string): Promise<unknown> {
  if (text === "-") return parse(await readText(Deno.stdin.readable, "stdin"), "what came on stdin");
  if (text.startsWith("@")) {
    const path = text.slice(1);
    return parse(await readText((await openFile(path)).readable, path), path);
  }
  return parse(text, text.length <= 60 ? JSON.stringify(text) : `${JSON.stringify(text.slice(0, 60))}…`);
}

/** Opens a file, or whatever has a path. */
export async function openFile(path: string): Promise<Deno.FsFile> {
  try {
    const file = await Deno.open(path);
    if (!(await file.stat()).isDirectory) return file;
    file.close();
    throw new Deno.errors.IsADirectory();
  } catch (error) {
    throw cannotRead(path, error);
  }
}

/** The lines of a stream, without their ends (LF or CRLF); none may be longer than `longest` bytes. */
export async function* linesOf(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  longest: number,
): AsyncGenerator<string> {
  let parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  const take = (part: Uint8Array<ArrayBuffer>) => {
    parts.push(part);
    size += part.length;
    if (size > longest) throw new InputError("longer than any task can be", { remedy: "see TQ_MAX_DATA" });
  };
  const line = async () => {
    const text = decode(parts.length === 1 ? parts[0] : await new Blob(parts).bytes());
    [parts, size] = [[], 0];
    return text.endsWith("\r") ? text.slice(0, -1) : text;
  };
  for await (const chunk of stream) {
    let start = 0;
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, start)) {
      take(chunk.subarray(start, end));
      yield await line();
      start = end + 1;
    }
    if (start < chunk.length) take(chunk.subarray(start));
  }
  if (size > 0) yield await line();
}

const LF = 10;

/** Text that is read as UTF-8 and is none would be published with its characters replaced. */
function decode(bytes: Uint8Array<ArrayBuffer> | undefined): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new InputError("not UTF-8 text", { cause: error, remedy: "convert it" });
  }
}

async function readText(stream: ReadableStream<Uint8Array<ArrayBuffer>>, what: string): Promise<string> {
  const bytes = await new Response(stream).bytes();
  try {
    return decode(bytes);
  } catch (error) {
    throw new InputError(`${what} is not UTF-8 text`, { cause: error, remedy: "convert it" });
  }
}

/** Parses JSON; `what` names it when it is none. */
function parse(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InputError(`${what} is not JSON`, { cause: error, remedy: `give a JSON object: '{"id": 22}'` });
  }
}

function cannotRead(path: string, error: unknown): InputError {
  const [why, remedy] = error instanceof Deno.errors.NotFound
    ? ["there is no such file", "see that the path is right"]
    : error instanceof Deno.errors.IsADirectory
    ? ["it is a folder", "give a file"]
    : error instanceof Deno.errors.PermissionDenied
    ? ["its rights forbid it", "change them, or run as another user"]
    : [messageOf(error), "see that the path is right"];
  return new InputError(`cannot read ${JSON.stringify(path)} (${why})`, { cause: error, remedy });
}
