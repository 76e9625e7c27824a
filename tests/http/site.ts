/**
 * The HTTP server in the test's own process, on a record of its own, in front of a supervisor of which the test says
 * how it does.
 *
 * @module
 */

import type { Settings, SettingsInput } from "../../src/config.ts";
import type { TaskQueue } from "../../src/publish/queue.ts";
import { Access } from "../../src/http/access.ts";
import { createApp } from "../../src/http/app.ts";
import type { HttpApp, HttpParts } from "../../src/http/parts.ts";
import { HostMetrics } from "../../src/metrics/host_metrics.ts";
import { systemClock } from "../../src/clock.ts";
import type { Clock } from "../../src/clock.ts";
import type { Store } from "../../src/store/mod.ts";
import type { SupervisorStatus } from "../../src/supervisor/status_file.ts";
import { type TempFolder, tempFolder } from "../support/fixtures.ts";
import { TestRecord } from "../support/test_record.ts";

/** Tokens of the test. */
export const VIEW = "view-token-of-the-test";
export const MANAGE = "manage-token-of-the-test";

/** A supervisor that does well. */
export const STATUS: SupervisorStatus = {
  pid: 1,
  started: "2026-11-24T00:00:00.000Z",
  written: "2026-11-24T00:00:00.000Z",
  ready: true,
  version: "0.1.0",
  commit: null,
  dispatch: "postgres",
  leader: true,
  engines: [],
  refresh: null,
  trouble: null,
};

/** How a site is made. */
export interface WebSiteOptions {
  readonly settings?: SettingsInput;
  readonly clock?: Clock;
  readonly status?: () => SupervisorStatus;
  /** What it reads with. */
  readonly kind?: typeof Store;
}

/** See the module. `await using site = await WebSite.make()`. */
export class WebSite implements AsyncDisposable {
  readonly record: TestRecord;
  readonly queue: TaskQueue;
  readonly settings: Settings;
  readonly app: HttpApp;
  /** `http://127.0.0.1:1234` */
  readonly url: string;
  /** How often it was asked to restart. */
  restarts = 0;
  /** What engines were told. */
  readonly canceled: number[] = [];
  /** What `restart` says. */
  canRestart = true;
  readonly #folder: TempFolder;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #stopping = new AbortController();

  private constructor(record: TestRecord, folder: TempFolder, access: Access, options: WebSiteOptions) {
    this.record = record;
    this.#folder = folder;
    this.settings = settingsOf(record, folder, options);
    this.queue = record.queue();
    const parts: HttpParts = {
      settings: this.settings,
      store: options.kind === undefined ? record.store(options.settings) : record.storeOf(options.kind),
      queue: this.queue,
      access,
      clock: options.clock ?? systemClock,
      stopping: this.#stopping.signal,
      status: options.status ?? (() => STATUS),
      metrics: new HostMetrics(false),
      control: {
        restart: () => {
          this.restarts++;
          return this.canRestart;
        },
        canceled: (ids) => void this.canceled.push(...ids),
      },
    };
    this.app = createApp(parts);
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request) => this.app.fetch(request),
    );
    this.url = `http://127.0.0.1:${this.#server.addr.port}`;
  }

  static async make(options: WebSiteOptions = {}): Promise<WebSite> {
    const record = await TestRecord.make();
    const folder = await tempFolder();
    const access = await Access.open(settingsOf(record, folder, options), options.clock ?? systemClock);
    return new WebSite(record, folder, access, options);
  }

  /** Asks for a path under `/rpc/taskqueue`; with the token for `manage` unless said otherwise. */
  async ask(path: string, init: RequestInit & { token?: string | null } = {}): Promise<Answer> {
    const { token = MANAGE, ...rest } = init;
    const headers = new Headers(rest.headers);
    if (token !== null) headers.set("authorization", `Bearer ${token}`);
    const response = await fetch(`${this.url}/rpc/taskqueue${path}`, {
      ...rest,
      headers,
      redirect: "manual",
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: parse(text) };
  }

  /** Sends JSON. */
  post(path: string, body: unknown, init: RequestInit & { token?: string | null } = {}): Promise<Answer> {
    return this.ask(path, { ...init, method: "POST", body: JSON.stringify(body) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#server.shutdown();
    await this.record[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }
}

/** What was answered. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // deno-lint-ignore no-explicit-any
  readonly body: any;
}

/** Sends bytes as they are, and reads what comes until the other side ends it or `bytes` came. */
export async function raw(url: string, request: string, enough = /\r\n\r\n/): Promise<string> {
  const { hostname, port } = new URL(url);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  const encoder = new TextEncoder();
  const bytes = encoder.encode(request);
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(16_384);
  let text = "";
  for (let count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) {
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
    if (enough.test(text)) break;
  }
  return text;
}

function settingsOf(record: TestRecord, folder: TempFolder, options: WebSiteOptions): Settings {
  return record.settings({
    TQ_ROOT: folder.path,
    TQ_API_TOKENS: `view:${VIEW},manage:${MANAGE}`,
    ...options.settings,
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
