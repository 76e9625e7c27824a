/**
 * A PgBouncer of a test's own, in front of a Postgres.
 *
 * @module
 */

import { join } from "node:path";
import { pgbouncerBinary } from "./binaries.ts";
import { postgresOwner } from "./private_postgres.ts";
import { PrivateServer, started } from "./private_server.ts";
import { answersPostgres } from "./probe.ts";

/** A PgBouncer of one's own, as Debian sets it up: it refuses startup parameters that it does not know. */
export class PrivatePgBouncer extends PrivateServer {
  readonly #behind: URL;
  readonly #mode: "session" | "transaction";

  /** @param behind the address of the Postgres */
  constructor(behind: string, mode: "session" | "transaction") {
    super("pgbouncer");
    this.#behind = new URL(behind);
    this.#mode = mode;
  }

  /** Makes one and starts it. */
  static async started(behind: string, mode: "session" | "transaction"): Promise<PrivatePgBouncer> {
    return await started(new PrivatePgBouncer(behind, mode));
  }

  /** The address that stands for the one behind it. */
  url(): string {
    const url = new URL(this.#behind);
    [url.hostname, url.port] = ["127.0.0.1", String(this.port)];
    return url.href;
  }

  protected override owner(): { uid?: number; gid?: number } {
    return postgresOwner();
  }

  protected override signalFor(mode: "fast" | "immediate"): Deno.Signal {
    return mode === "fast" ? "SIGINT" : "SIGKILL";
  }

  protected override async prepare(): Promise<void> {
    const { hostname, port, username } = this.#behind;
    await Deno.writeTextFile(
      this.#file,
      `[databases]
* = host=${hostname} port=${port || 5432} user=${username || "postgres"}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${this.port}
unix_socket_dir =
auth_type = any
pool_mode = ${this.#mode}
`,
    );
    const { uid, gid } = this.owner();
    if (uid !== undefined && gid !== undefined) await Deno.chown(this.folder, uid, gid);
  }

  protected override command(): string[] {
    const program = pgbouncerBinary();
    if (program === undefined) throw new Error("no pgbouncer on this machine");
    return [program, this.#file];
  }

  protected override async isReady(): Promise<boolean> {
    return await answersPostgres(this.url());
  }

  get #file(): string {
    return join(this.folder, "pgbouncer.ini");
  }
}
