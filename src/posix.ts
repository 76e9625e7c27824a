/**
 * The few system calls that Deno does not offer, through FFI on libc (Linux and macOS).
 *
 * @module
 */

/** flock(2): exclusive, do not wait. The same numbers on Linux and macOS. */
const LOCK_EX_NB = 2 | 4;

const SYMBOLS = {
  flock: { parameters: ["i32", "i32"], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  setsid: { parameters: [], result: "i32" },
} as const;

let library: Deno.DynamicLibrary<typeof SYMBOLS> | undefined;

function libc(): Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] {
  library ??= Deno.dlopen(Deno.build.os === "darwin" ? "libSystem.dylib" : "libc.so.6", SYMBOLS);
  return library.symbols;
}

/** O_RDWR | O_CLOEXEC: a child must not inherit the lock. */
const OPEN_FLAGS = 2 | (Deno.build.os === "darwin" ? 0x1000000 : 0o2000000);

/** A lock that the kernel lets go of when its holder dies, however it dies. */
export class FileLock implements Disposable {
  readonly path: string;
  #descriptor: number | undefined;

  private constructor(path: string, descriptor: number) {
    this.path = path;
    this.#descriptor = descriptor;
  }

  /** Takes the lock on `path`, which is made when missing; undefined when somebody else has it. */
  static tryTake(path: string): FileLock | undefined {
    // Made here, since open(2) takes its mode as a variadic argument, which FFI passes wrongly on some systems.
    Deno.openSync(path, { create: true, write: true, mode: 0o600 }).close();
    const descriptor = libc().open(new TextEncoder().encode(path + "\0"), OPEN_FLAGS);
    if (descriptor < 0) throw new Deno.errors.PermissionDenied(`cannot open the lock file ${path}`);
    if (libc().flock(descriptor, LOCK_EX_NB) === 0) return new FileLock(path, descriptor);
    libc().close(descriptor);
    return undefined;
  }

  /** Lets go of the lock; a second call does nothing. */
  [Symbol.dispose](): void {
    if (this.#descriptor !== undefined) libc().close(this.#descriptor);
    this.#descriptor = undefined;
  }
}

/** Leaves the terminal's process group, so that its Ctrl-C and its hang-up do not reach this process. */
export function leaveTerminal(): void {
  libc().setsid();
}
