/**
 * The embedded database: PGlite behind a socket on loopback, in a process of its own, started under a lock by
 * whoever finds none, and gone some seconds after its last client. Nothing else in tq knows that PGlite exists.
 *
 * What follows from it being one shared session: no transaction is left open, no session lock is taken, NOTIFY
 * never arrives, and two processes must never open one folder.
 *
 * @module
 */

import { join } from "node:path";
import { type Clock, systemClock, within } from "../clock.ts";
import { UnreachableError } from "../errors.ts";
import { logger } from "../log.ts";
import { FileLock, leaveTerminal } from "../posix.ts";
import { selfCommand } from "../self.ts";
import { Store } from "./mod.ts";
import { SessionServer } from "./session_server.ts";

/** The database process ends when it has had no client for this long, milliseconds. */
const LINGER = 10_000;
/** Its clients get this long to hear the rest, milliseconds. */
const STOP_BOUND = 1000;
/** A first start unpacks and initialises the database: milliseconds. */
const START_DEADLINE = 60_000;

/** What a store must know of it: NOTIFY never arrives, so engines look every 100 ms. */
export const EMBEDDED_TRAITS = {
  prepare: true,
  notifies: false,
  poll: { first: 100, longest: 100 },
} as const;

interface Address {
  readonly port: number;
  readonly pid: number;
}

const paths = (varFolder: string) => ({
  data: join(varFolder, "db"),
  lock: join(varFolder, "db.lock"),
  address: join(varFolder, "db.address"),
  log: join(varFolder, "db.log"),
});

/** The address of the embedded database of `varFolder`, which is started when nobody runs it. */
export async function embeddedUrl(
  varFolder: string,
  schema: string,
  clock: Clock = systemClock,
): Promise<string> {
  const { lock, address } = paths(varFolder);
  const until = clock.monotonic() + START_DEADLINE;
  await Deno.mkdir(varFolder, { recursive: true });
  let started = false;
  while (clock.monotonic() < until) {
    using free = FileLock.tryTake(lock);
    if (free !== undefined) {
      // Nobody runs it. Whoever else finds that now starts one as well; the lock lets one of them live.
      if (!started) await Deno.remove(address).catch(() => {});
      free[Symbol.dispose]();
      if (!started) startProcess(varFolder, schema);
      started = true;
    } else {
      const found = await readAddress(address);
      if (found !== undefined) return urlOf(found.port);
    }
    await clock.sleep(20);
  }
  throw new UnreachableError("the embedded database did not start", {
    remedy: `see ${paths(varFolder).log}`,
  });
}

/**
 * The address of the embedded database of `varFolder`, as whoever runs it has left it: after a crash nobody may be
 * there. Starts and writes nothing, and does not touch the lock.
 *
 * @throws {UnreachableError} when nobody runs it
 */
export async function runningEmbeddedUrl(varFolder: string): Promise<string> {
  const found = await readAddress(paths(varFolder).address);
  if (found !== undefined) return urlOf(found.port);
  throw new UnreachableError("the embedded database does not run", { remedy: "use tq start" });
}

/** Ends the embedded database of `varFolder`, if one runs, and waits for its end. */
export async function stopEmbedded(varFolder: string, clock: Clock = systemClock): Promise<void> {
  const { lock, address } = paths(varFolder);
  const isFree = () => {
    using free = FileLock.tryTake(lock);
    return free !== undefined;
  };
  if (isFree()) return;
  const found = await readAddress(address);
  if (found === undefined) return;
  // The lock is held, so the process that wrote the address is alive and the number is its own.
  Deno.kill(found.pid, "SIGTERM");
  const until = clock.monotonic() + LINGER;
  while (!isFree()) {
    // Whatever holds it up: what it has acknowledged is on the disk, and nobody else could ever start.
    if (clock.monotonic() > until) Deno.kill(found.pid, "SIGKILL");
    await clock.sleep(20);
  }
}

/** The body of the hidden command `database`: serves until nobody has been connected for a while, or SIGTERM. */
export async function serveEmbedded(
  varFolder: string,
  schema: string,
  clock: Clock = systemClock,
): Promise<void> {
  const { data, lock, address } = paths(varFolder);
  using mine = FileLock.tryTake(lock);
  if (mine === undefined) return;
  leaveTerminal();
  const log = logger("database");
  const { PGlite } = await import("npm:@electric-sql/pglite@0.5.14");
  const db = await PGlite.create({ dataDir: data });
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  Deno.addSignalListener("SIGTERM", onSignal);
  let broken = false;
  const onBroken = () => {
    broken = true;
    stop.abort();
  };
  const server = await SessionServer.start({ session: db, clock, onBroken });
  try {
    const { port } = server;
    await migrateThrough(port, schema);
    const part = `${address}.${Deno.pid}`;
    await Deno.writeTextFile(part, JSON.stringify({ port, pid: Deno.pid } satisfies Address), {
      mode: 0o600,
    });
    await Deno.rename(part, address);
    log.info("Embedded database is ready", { port, folder: data });
    let idleSince = clock.monotonic();
    while (!stop.signal.aborted && clock.monotonic() - idleSince < LINGER) {
      if (server.clients > 0) idleSince = clock.monotonic();
      await clock.sleep(250, stop.signal);
    }
  } finally {
    await Deno.remove(address).catch(() => {});
    await within(clock, STOP_BOUND, server[Symbol.asyncDispose]());
    // A broken one does not end its closing, and what it has acknowledged is on the disk.
    if (!broken) await db.close();
    Deno.removeSignalListener("SIGTERM", onSignal);
    log.info("Embedded database has ended");
  }
}

async function migrateThrough(port: number, schema: string): Promise<void> {
  await using store = new Store({
    url: () => Promise.resolve(urlOf(port)),
    schema,
    connections: 1,
    applicationName: "tq database",
    ...EMBEDDED_TRAITS,
  });
  await store.migrate();
}

function startProcess(varFolder: string, schema: string): void {
  const { executable, args } = selfCommand("database");
  const child = new Deno.Command(executable, {
    args,
    env: { TQ_VAR: varFolder, TQ_SCHEMA: schema },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  child.unref();
}

function urlOf(port: number): string {
  return `postgres://postgres@127.0.0.1:${port}/postgres?sslmode=disable`;
}

async function readAddress(path: string): Promise<Address | undefined> {
  try {
    return JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
