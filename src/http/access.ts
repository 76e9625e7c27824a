/**
 * Who may do what: bearer tokens, sessions of browsers, and the one-time codes that start them.
 *
 * A session is a signed text and is kept nowhere, so that it outlives the supervisor's own replacement. The key
 * that signs it is made of a secret under `var` and of all tokens: other tokens end every session.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { randomBytes, timingSafeEqual } from "node:crypto";
import { join } from "node:path";
import type { Clock } from "../clock.ts";
import { need, type Settings } from "../config.ts";
import { SettingsError } from "../errors.ts";
import { tokenPath } from "./token_file.ts";

/** `view` reads, `manage` acts as well. */
export type Right = "view" | "manage";

/** A session lasts for this long, seconds. */
export const SESSION_SECONDS = 12 * 3600;
/** A one-time code lasts for this long, seconds. */
export const CODE_SECONDS = 120;
/** Codes that nobody has used yet; beyond them the oldest ends. */
const MOST_CODES = 100;
/** Only this user reads and writes. */
const PRIVATE = 0o600;

/** Whether only programs of this machine reach this host name. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" || /^127(\.\d{1,3}){3}$/.test(hostname);
}

/** Whether a right is enough where another is asked for. */
export function suffices(right: Right, asked: Right): boolean {
  return right === "manage" || asked === "view";
}

/** HMAC-SHA-256. By Web Crypto: node's prints a warning on Deno 2.4. */
class Mac {
  readonly #key: CryptoKey;

  private constructor(key: CryptoKey) {
    this.#key = key;
  }

  static async of(key: Uint8Array<ArrayBuffer>): Promise<Mac> {
    return new Mac(
      await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]),
    );
  }

  async of(text: string): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await crypto.subtle.sign("HMAC", this.#key, new TextEncoder().encode(text)));
  }
}

/** Tokens, sessions and codes of one server. */
export class Access {
  readonly #tokens: readonly { readonly right: Right; readonly digest: Uint8Array }[];
  readonly #clock: Clock;
  /** For comparing: digests of one length, which nobody outside can foresee. */
  readonly #digest: Mac;
  readonly #signature: Mac;
  readonly #codes = new Map<string, { readonly right: Right; readonly until: number }>();

  private constructor(
    tokens: readonly { right: Right; digest: Uint8Array }[],
    macs: { readonly digest: Mac; readonly signature: Mac },
    clock: Clock,
  ) {
    this.#tokens = tokens;
    this.#digest = macs.digest;
    this.#signature = macs.signature;
    this.#clock = clock;
  }

  /** @param secret signs sessions, together with the tokens */
  static async make(
    tokens: readonly { readonly right: Right; readonly token: string }[],
    secret: string,
    clock: Clock,
  ): Promise<Access> {
    const digest = await Mac.of(crypto.getRandomValues(new Uint8Array(32)));
    const all = JSON.stringify(tokens.map(({ right, token }) => [right, token]).sort());
    const key = await (await Mac.of(new TextEncoder().encode(secret))).of(all);
    const digested = tokens.map(async ({ right, token }) => ({ right, digest: await digest.of(token) }));
    return new Access(await Promise.all(digested), { digest, signature: await Mac.of(key) }, clock);
  }

  /**
   * Reads what is needed from `var`, and makes it there when it is missing.
   *
   * @throws {SettingsError} when the server would be reached from other machines without a token of the user's own
   */
  static async open(settings: Settings, clock: Clock): Promise<Access> {
    const { TQ_API_TOKENS: own } = settings;
    const varFolder = need(settings.varFolder, "var");
    checkReach(settings);
    await Deno.mkdir(varFolder, { recursive: true });
    const tokens = own ?? [{ right: "manage" as const, token: await keptSecret(tokenPath(varFolder)) }];
    return await Access.make(tokens, await keptSecret(join(varFolder, "session_secret")), clock);
  }

  /** What a token may do; undefined for a wrong one. Takes the same time for each. */
  async rightOf(token: string): Promise<Right | undefined> {
    const digest = await this.#digest.of(token);
    let right: Right | undefined;
    for (const one of this.#tokens) if (timingSafeEqual(one.digest, digest)) right = one.right;
    return right;
  }

  /** Starts a session: the value of its cookie. */
  async startSession(right: Right): Promise<string> {
    const until = Math.floor(this.#clock.now() / 1000) + SESSION_SECONDS;
    const text = `${right}.${until}.${randomBytes(12).toString("base64url")}`;
    return `${text}.${await this.#sign(text)}`;
  }

  /** What a session may do; undefined for one that has ended or was not started here. */
  async sessionRight(cookie: string): Promise<Right | undefined> {
    const end = cookie.lastIndexOf(".");
    const text = cookie.slice(0, Math.max(end, 0));
    const [given, own] = await Promise.all([
      this.#digest.of(cookie.slice(end + 1)),
      this.#digest.of(await this.#sign(text)),
    ]);
    if (!timingSafeEqual(given, own)) return undefined;
    const [right, until] = text.split(".");
    if (right !== "view" && right !== "manage") return undefined;
    return Number(until) > this.#clock.now() / 1000 ? right : undefined;
  }

  /** Makes a code that starts one session within `CODE_SECONDS`. */
  makeCode(right: Right): string {
    const code = randomBytes(24).toString("base64url");
    this.#codes.set(code, { right, until: this.#clock.monotonic() + CODE_SECONDS * 1000 });
    const [oldest] = this.#codes.keys();
    if (this.#codes.size > MOST_CODES && oldest !== undefined) this.#codes.delete(oldest);
    return code;
  }

  /** Uses a code up; what the session that it starts may do, or undefined. */
  useCode(code: string): Right | undefined {
    const found = this.#codes.get(code);
    this.#codes.delete(code);
    return found !== undefined && found.until > this.#clock.monotonic() ? found.right : undefined;
  }

  async #sign(text: string): Promise<string> {
    return Buffer.from(await this.#signature.of(text)).toString("base64url");
  }
}

/** @throws {SettingsError} when other machines would reach the server without a token of the user's own */
export function checkReach({ TQ_HTTP: address, TQ_API_TOKENS: own, given }: Settings): void {
  if (own !== undefined || address === undefined || isLoopback(address.hostname)) return;
  throw new SettingsError(
    `TQ_HTTP is ${given.TQ_HTTP}, which other machines reach, without a token of your own`,
    { remedy: "set TQ_API_TOKENS=manage:<token>, or TQ_HTTP=127.0.0.1:7654" },
  );
}

/** The secret in a file, which is made when it is missing, and kept from others. */
async function keptSecret(path: string): Promise<string> {
  try {
    const secret = (await Deno.readTextFile(path)).trim();
    await Deno.chmod(path, PRIVATE);
    if (secret !== "") return secret;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const secret = randomBytes(32).toString("base64url");
  const part = `${path}.part`;
  await Deno.remove(part).catch(() => {});
  await Deno.writeTextFile(part, secret + "\n", { createNew: true, mode: PRIVATE });
  await Deno.rename(part, path);
  return secret;
}
