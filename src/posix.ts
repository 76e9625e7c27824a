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
/** flock(2): exclusive or shared, do not wait. The same numbers on Linux and macOS. */
const LOCK_EX_NB = 2 | 4;
const LOCK_SH_NB = 1 | 4;

const SYMBOLS = {
  flock: { parameters: ["i32", "i32"], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  setsid: { parameters: [], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  execv: { parameters: ["buffer", "buffer"], result: "i32" },
  access: { parameters: ["buffer", "i32"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "isize" },
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
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
  #path: string;
  #descriptor: number | undefined;

  private constructor(path: string, descriptor: number) {
    this.#path = path;
    this.#descriptor = descriptor;
  }

  /** The file's name. */
  get path(): string {
    return this.#path;
  }

  /** Gives the file another name; the lock stays on it. */
  rename(path: string): void {
    Deno.renameSync(this.#path, path);
    this.#path = path;
  }

  /** Takes over a lock that the program before `replaceProcess` held; children do not inherit it. */
  static adopt(path: string, descriptor: number): FileLock {
    closeAtExec(descriptor);
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
    return FileLock.#try(path, LOCK_EX_NB);
  }

  /**
   * Whether the file is there and somebody has the lock on it. Any number may ask at once; whoever tries to take it
   * meanwhile cannot.
   */
  static isHeld(path: string): boolean {
    try {
      Deno.statSync(path);
    } catch {
      return false;
    }
    using shared = FileLock.#try(path, LOCK_SH_NB);
    return shared === undefined;
  }

  static #try(path: string, how: number): FileLock | undefined {
    // Made here, since open(2) takes its mode as a variadic argument, which FFI passes wrongly on some systems.
    Deno.openSync(path, { create: true, write: true, mode: 0o600 }).close();
    const descriptor = libc().open(new TextEncoder().encode(path + "\0"), OPEN_FLAGS);
    if (descriptor < 0) throw new Deno.errors.PermissionDenied(`cannot open the lock file ${path}`);
    if (libc().flock(descriptor, how) === 0) return new FileLock(path, descriptor);
    libc().close(descriptor);
    return undefined;
  }

  /** Lets go of the lock; a second call does nothing. */
  [Symbol.dispose](): void {
    if (this.#descriptor !== undefined) libc().close(this.#descriptor);
    this.#descriptor = undefined;
  }
}

/** Takes back that a lock lives on through `replaceProcess`: children that are started now do not inherit it. */
export function closeAtExec(descriptor: number): void {
  libc().fcntl(descriptor, F_SETFD, FD_CLOEXEC);
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

/** access(2): write, search. */
const W_OK = 2;
const X_OK = 1;

/**
 * Whether this process may write the file, or put files into the folder, as the system sees it: groups, access lists
 * and file systems that are mounted to be read alone count (`access` of node:fs looks at the mode's bits: measured).
 */
export function mayWrite(path: string, kind: "file" | "folder"): boolean {
  const wanted = kind === "folder" ? W_OK | X_OK : W_OK;
  return libc().access(new TextEncoder().encode(`${path}\0`), wanted) === 0;
}

/** Linux: AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, MSG_DONTWAIT | MSG_NOSIGNAL, CLOCK_MONOTONIC. */
const AF_UNIX = 1;
const DATAGRAM = 2 | 0o2000000;
const AT_ONCE = 0x40 | 0x4000;
const CLOCK_MONOTONIC = 1;
/** What `sun_path` of sockaddr_un(7) holds, the zero after a path included. */
const LONGEST_PATH = 108;

/**
 * Sends datagrams to one Unix socket (Linux only).
 *
 * Through FFI: `Deno.listenDatagram` needs `--unstable-net`, with Deno 2.4.2 and 2.9.6, and knows no abstract names.
 */
export class DatagramSender implements Disposable {
  readonly #address: Uint8Array<ArrayBuffer>;
  #descriptor: number;

  /**
   * @param address an absolute path, or `@` and an abstract name
   * @throws {RangeError} when it is neither, or too long
   */
  constructor(address: string) {
    this.#address = socketAddress(address);
    this.#descriptor = libc().socket(AF_UNIX, DATAGRAM, 0);
  }

  /** Sends one, and never waits; tells whether the receiver has it: nobody may be there, or it may have no room. */
  send(text: string): boolean {
    const bytes = new TextEncoder().encode(text);
    const length = BigInt(bytes.length);
    const sent = libc().sendto(
      this.#descriptor,
      bytes,
      length,
      AT_ONCE,
      this.#address,
      this.#address.length,
    );
    return BigInt(sent) === length;
  }

  /** Closes it; nothing is sent any more. */
  [Symbol.dispose](): void {
    if (this.#descriptor >= 0) libc().close(this.#descriptor);
    this.#descriptor = -1;
  }
}

/** A `sockaddr_un`: an abstract name begins with a zero and has none at its end, a path the other way round. */
function socketAddress(address: string): Uint8Array<ArrayBuffer> {
  const isAbstract = address.startsWith("@");
  const path = new TextEncoder().encode(isAbstract ? `\0${address.slice(1)}` : `${address}\0`);
  if (!isAbstract && !address.startsWith("/") || path.length > LONGEST_PATH) {
    throw new RangeError(`${address} is no address of a Unix socket`);
  }
  const bytes = new Uint8Array(2 + path.length);
  new Uint16Array(bytes.buffer, 0, 1)[0] = AF_UNIX;
  bytes.set(path, 2);
  return bytes;
}

/** Microseconds of CLOCK_MONOTONIC, which counts from the machine's start: what other programs may be told (Linux only). */
export function monotonicMicroseconds(): bigint {
  const time = new BigInt64Array(2);
  libc().clock_gettime(CLOCK_MONOTONIC, new Uint8Array(time.buffer));
  const [seconds = 0n, nanoseconds = 0n] = time;
  return seconds * 1_000_000n + nanoseconds / 1000n;
}
