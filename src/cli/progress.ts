/**
 * How far a command that does much has come.
 *
 * @module
 */

import { InputError, messageOf, TqError, UnreachableError } from "../errors.ts";

/** A bar on a terminal, nothing elsewhere. */
export async function progressBar(total: number): Promise<Disposable & { update(count: number): void }> {
  if (!Deno.stderr.isTerminal() || total === 0) return { update: () => {}, [Symbol.dispose]: () => {} };
  const { SingleBar } = await import("npm:cli-progress@3.12.0");
  const bar = new SingleBar({
    format: "{bar} {value}/{total} tasks, {eta_formatted} left",
    clearOnComplete: true,
  });
  bar.start(total, 0);
  return { update: (count) => bar.update(count), [Symbol.dispose]: () => bar.stop() };
}

/** The error of a command that had done something before it, and says what. */
export function toldSoFar(error: TqError, done: string): TqError {
  const kind = [UnreachableError, InputError].find((one) => error instanceof one) ?? TqError;
  return new kind(`${messageOf(error)}; ${done}`, {
    cause: error,
    ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
  });
}
