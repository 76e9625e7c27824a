/**
 * Asking before much is changed.
 *
 * @module
 */

/** Whether somebody is there to be asked. */
export function isAttended(): boolean {
  return Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
}

/** Asks, on stderr; whatever is not `y` or `yes` is a no. */
export function confirmed(question: string): boolean {
  Deno.stderr.writeSync(new TextEncoder().encode(`${question} [y/N] `));
  const bytes = new Uint8Array(1024);
  // A terminal gives a line at a time.
  const size = Deno.stdin.readSync(bytes) ?? 0;
  return /^y(es)?$/i.test(new TextDecoder().decode(bytes.subarray(0, size)).trim());
}
