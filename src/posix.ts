/**
 * The few system calls that Deno does not offer, through FFI on libc (Linux and macOS).
 *
 * @module
 */

/** fcntl(2): set the descriptor's flags; close it at execve(2). */
const F_SETFD = 2;
const FD_CLOEXEC = 1;
/** waitpid(2): do not wait. */
const WNOHANG = 1;
/** flock(2): exclusive, do not wait. The same numbers on Linux and macOS. */
const LOCK_EX_NB = 2 | 4;

const SYMBOLS = {
  flock: { parameters: ["i32", "i32"], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  setsid: { parameters: [], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  execv: { parameters: ["buffer", "buffer"], result: "i32" },
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

  /** Takes over a lock that the program before `replaceProcess` held; children do not inherit it. */
  static adopt(path: string, descriptor: number): FileLock {
    libc().fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    return new FileLock(path, descriptor);
  }

  /** Lets the lock live on through `replaceProcess`; returns the number to adopt it by. */
  keepThroughExec(): number {
    if (this.#descriptor === undefined) throw new Error(`the lock on ${this.path} was let go of`);
    libc().fcntl(this.#descriptor, F_SETFD, 0);
    return this.#descriptor;
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

/** Whether this system can put another program in the place of this one. */
export const CAN_REPLACE_PROCESS: boolean = Deno.build.os === "linux";

/**
 * Puts another program in the place of this process, which keeps its number, its environment and its children.
 * Returns only when that failed.
 */
export function replaceProcess(executable: string, args: readonly string[]): void {
  const encoder = new TextEncoder();
  const words = [executable, ...args].map((word) => encoder.encode(word + "\0"));
  const pointers = new BigUint64Array(words.length + 1);
  words.forEach((word, i) => pointers[i] = Deno.UnsafePointer.value(Deno.UnsafePointer.of(word)));
  libc().execv(words[0] as Uint8Array<ArrayBuffer>, new Uint8Array(pointers.buffer));
}

/** Whether a child of this process has ended; takes note of its end, so that it does not stay a zombie. */
export function hasEnded(pid: number): boolean {
  // 0: it runs. Its own number: it has ended. -1: no child of ours (any more).
  return libc().waitpid(pid, new Uint8Array(4), WNOHANG) !== 0;
}
