/**
 * A Prometheus of a test's own, and promtool, which asks it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { prometheusBinary, promtoolBinary } from "./binaries.ts";
import { PrivateServer, started } from "./private_server.ts";

/** A Prometheus that scrapes one target every 200 ms. */
export class PrivatePrometheus extends PrivateServer {
  readonly #target: URL;
  readonly #tokenFile: string;

  private constructor(target: string, tokenFile: string) {
    super("prometheus");
    this.#target = new URL(target);
    this.#tokenFile = tokenFile;
  }

  /** Starts one; `target` is a URL, and `tokenFile` holds the bearer token. */
  static async started(target: string, tokenFile: string): Promise<PrivatePrometheus> {
    return await started(new PrivatePrometheus(target, tokenFile));
  }

  /** Its address. */
  url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What an expression is now: values by the text of their labels, as in `{outcome="completed"}`. */
  async query(expression: string): Promise<Record<string, number>> {
    const { code, stdout, stderr } = await promtool(["query", "instant", this.url(), expression]);
    assert.equal(code, 0, stderr);
    return Object.fromEntries(
      stdout.split("\n").flatMap((line) => {
        const [, labels, value] = /^(.*) => (\S+) @\[/.exec(line) ?? [];
        return labels === undefined ? [] : [[labels, Number(value)]];
      }),
    );
  }

  protected override prepare(): Promise<void> {
    // JSON is YAML.
    const config = {
      global: { scrape_interval: "200ms", scrape_timeout: "200ms" },
      scrape_configs: [{
        job_name: "tq",
        scheme: this.#target.protocol.slice(0, -1),
        metrics_path: this.#target.pathname,
        authorization: { credentials_file: this.#tokenFile },
        static_configs: [{ targets: [this.#target.host] }],
      }],
    };
    return Deno.writeTextFile(join(this.folder, "prometheus.yml"), JSON.stringify(config));
  }

  protected override command(): string[] {
    const program = prometheusBinary();
    if (program === undefined) {
      throw new Error("no prometheus on this machine: see tests/support/binaries.ts");
    }
    return [
      program,
      `--config.file=${join(this.folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(this.folder, "data")}`,
      `--web.listen-address=127.0.0.1:${this.port}`,
    ];
  }

  protected override async isReady(): Promise<boolean> {
    try {
      const response = await fetch(`${this.url()}/-/ready`);
      await response.body?.cancel();
      return response.ok;
    } catch {
      return false;
    }
  }

  protected override signalFor(mode: "fast" | "immediate"): Deno.Signal {
    return mode === "fast" ? "SIGTERM" : "SIGKILL";
  }
}

/** Runs promtool to its end. */
export async function promtool(
  args: readonly string[],
  input = "",
): Promise<{ code: number; stdout: string; stderr: string }> {
  const program = promtoolBinary();
  if (program === undefined) throw new Error("no promtool on this machine: see tests/support/binaries.ts");
  const child = new Deno.Command(program, {
    args: [...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input)).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
