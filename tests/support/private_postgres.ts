/**
 * A Postgres of a test's own.
 *
 * @module
 */

import { join } from "node:path";
import { postgresBinaries } from "./binaries.ts";
import { PrivateServer, type Settings, started } from "./private_server.ts";

/** A Postgres of one's own, with the user `postgres` and no password. */
export class PrivatePostgres extends PrivateServer {
  readonly #data: string;
  readonly #settings: Settings;

  /**
   * @param settings more settings. By default `fsync` is off: a killed server loses nothing by it, only a
   * power cut would; and commits stay synchronous.
   */
  constructor(settings: Settings = {}) {
    super("postgres");
    this.#data = join(this.folder, "data");
    this.#settings = {
      fsync: "off",
      listen_addresses: "127.0.0.1",
      unix_socket_directories: this.folder,
      // In files under the data folder: what a kill -9 leaves behind goes with the folder, not into /dev/shm.
      dynamic_shared_memory_type: "mmap",
      ...settings,
    };
  }

  /** Whether this machine has the binaries. */
  static available(): boolean {
    return postgresBinaries() !== undefined;
  }

  /** Makes one and starts it. */
  static async started(settings: Settings = {}): Promise<PrivatePostgres> {
    return await started(new PrivatePostgres(settings));
  }

  /** Its address. The databases `postgres` and `template1` exist. */
  url(database = "postgres"): string {
    return `postgres://postgres@127.0.0.1:${this.port}/${database}`;
  }

  /** Removes the shared memory that a killed server leaves in the kernel, too. */
  override async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("immediate");
    const id = (await this.#lockFile())[6]?.trim().split(/\s+/)[1];
    if (id !== undefined) await new Deno.Command("ipcrm", { args: ["-m", id] }).output().catch(() => {});
    await super[Symbol.asyncDispose]();
  }

  protected override owner(): { uid?: number; gid?: number } {
    return postgresOwner();
  }

  protected override signalFor(mode: "fast" | "immediate"): Deno.Signal {
    return mode === "fast" ? "SIGINT" : "SIGQUIT";
  }

  protected override command(): string[] {
    const settings = Object.entries(this.#settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    return [binary("postgres"), "-D", this.#data, "-p", String(this.port), ...settings];
  }

  protected override async isReady(pid: number): Promise<boolean> {
    const lines = await this.#lockFile();
    return Number(lines[0]) === pid && lines[7]?.trim() === "ready";
  }

  /** initdb takes half a second: within a run it happens once, and everybody else copies. */
  protected override async prepare(): Promise<void> {
    if (await exists(join(this.#data, "PG_VERSION"))) return;
    const { uid, gid } = this.owner();
    if (uid !== undefined && gid !== undefined) await Deno.chown(this.folder, uid, gid);
    const run = Deno.env.get("TQ_TEST_RUN_FOLDER");
    const template = run === undefined ? undefined : join(run, "postgres_template");
    if (template !== undefined && await exists(template)) {
      await must("cp", ["-a", template, this.#data]);
      return;
    }
    const locale = Deno.build.os === "linux" ? "C.UTF-8" : "en_US.UTF-8";
    const args = [
      "-D",
      this.#data,
      "-U",
      "postgres",
      "-A",
      "trust",
      "-E",
      "UTF8",
      `--locale=${locale}`,
      "--no-sync",
    ];
    await must(binary("initdb"), args, { cwd: this.folder, ...this.owner() });
    if (template === undefined) return;
    const copy = `${template}.${crypto.randomUUID()}`;
    await must("cp", ["-a", this.#data, copy]);
    // Somebody else may have been faster: a folder cannot be renamed onto one that is not empty.
    await Deno.rename(copy, template).catch(() => Deno.remove(copy, { recursive: true }));
  }

  /** The lines of `postmaster.pid`: the first is the pid, the seventh the shared memory, the eighth the state. */
  async #lockFile(): Promise<string[]> {
    return (await Deno.readTextFile(join(this.#data, "postmaster.pid")).catch(() => "")).split("\n");
  }
}

/** Postgres refuses to run as root: it gets its own user, or nobody. */
/** Who Postgres and what goes with it run as, when the tests run as root. */
export function postgresOwner(): { uid?: number; gid?: number } {
  if (Deno.uid() !== 0) return {};
  const users = Deno.readTextFileSync("/etc/passwd").split("\n").map((line) => line.split(":"));
  const user = ["postgres", "nobody"].map((name) => users.find(([one]) => one === name)).find(Boolean);
  if (user === undefined) {
    throw new Error("Postgres cannot run as root, and there is no user postgres or nobody");
  }
  return { uid: Number(user[2]), gid: Number(user[3]) };
}

function binary(name: string): string {
  const folder = postgresBinaries();
  if (folder === undefined) {
    throw new Error("no Postgres binaries on this machine: see tests/support/binaries.ts");
  }
  return join(folder, name);
}

async function must(program: string, args: string[], options: Deno.CommandOptions = {}): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(program, { ...options, args, stdin: "null" })
    .output();
  if (success) return;
  const decoder = new TextDecoder();
  throw new Error(`${program} ${args.join(" ")} failed: ${decoder.decode(stdout)}${decoder.decode(stderr)}`);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
