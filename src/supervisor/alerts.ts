/**
 * From what is wrong at the moment to messages: one when it begins, one when it is over.
 *
 *     ok ── wrong for `after` ──► raised (a message) ── right for `calm` ──► ok (a message)
 *     ▲                             │  another identity: raised anew (a message)
 *     └── nobody knows any more ────┘  (no message)
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";

/** What alerts are about. */
export type AlertEvent = "backlog" | "failures" | "engine" | "deploy";

/** Something that is wrong. */
export interface Problem {
  readonly event: AlertEvent;
  /** What is wrong, in one sentence without its full stop. */
  readonly text: string;
  /** What is said when it is over. */
  readonly recovery: string;
  /** Facts, for programs. */
  readonly facts: Readonly<Record<string, string | number | null>>;
  /** Another identity is another problem, of which the same key tells. @default "" */
  readonly identity?: string;
}

/** How sure one must be. Milliseconds. */
export interface Certainty {
  /** It is said to be wrong again after this long before anybody is told. @default 0: at once */
  readonly after?: number;
  /** It is right for this long before anybody is told. @default 60000 */
  readonly calm?: number;
  /** Nobody knows any more when nothing was said of it for this long. @default never */
  readonly forgottenAfter?: number;
}

/** What is posted. `text` is what Slack and those like it show. */
export interface AlertMessage {
  readonly text: string;
  readonly event: AlertEvent;
  readonly status: "raised" | "recovered";
  /** Which problem: the same in both messages. */
  readonly key: string;
  readonly host: string;
  /** ISO 8601. */
  readonly at: string;
  readonly facts: Problem["facts"];
}

interface State {
  readonly certainty: Certainty;
  /** Whether it is wrong now, since when that is so, and when that was last said. Monotonic milliseconds. */
  isWrong: boolean;
  since: number;
  heard: number;
  /** What was posted and is not over; undefined when nothing was. */
  raised: Problem | undefined;
}

/** A problem that comes and goes within this is one problem, milliseconds. */
const CALM = 60_000;
/** Characters of a text: reasons may be long. */
const LONGEST_TEXT = 500;

/** The problems of one host. Told of states, it tells of changes. */
export class Alerts {
  readonly #host: string;
  readonly #clock: Clock;
  readonly #post: (message: AlertMessage) => void;
  readonly #states = new Map<string, State>();

  /**
   * @param host named in each message
   * @param post takes the messages
   */
  constructor(host: string, post: (message: AlertMessage) => void, clock: Clock = systemClock) {
    this.#host = host;
    this.#post = post;
    this.#clock = clock;
  }

  /** Says how it is with `key` now: what is wrong, or undefined. Returns at once. */
  set(key: string, problem: Problem | undefined, certainty: Certainty = {}): void {
    const now = this.#clock.monotonic();
    const isWrong = problem !== undefined;
    let state = this.#states.get(key);
    if (state === undefined) {
      if (!isWrong) return;
      state = { certainty, isWrong, since: now, heard: now, raised: undefined };
      this.#states.set(key, state);
    } else if (state.isWrong !== isWrong) {
      state.isWrong = isWrong;
      state.since = now;
    }
    state.heard = now;
    if (!isWrong || now - state.since < (state.certainty.after ?? 0)) return;
    if (state.raised !== undefined && state.raised.identity === problem.identity) return;
    state.raised = problem;
    this.#tell(key, problem, "raised");
  }

  /** The keys of what is wrong, or was raised and is not over. */
  get keys(): string[] {
    return [...this.#states.keys()];
  }

  /** Looks what is over; called again and again. */
  look(): void {
    const now = this.#clock.monotonic();
    for (const [key, { certainty, isWrong, since, heard, raised }] of this.#states) {
      const { calm = CALM, forgottenAfter = Infinity } = certainty;
      if (now - heard >= forgottenAfter) this.#states.delete(key);
      else if (!isWrong && (raised === undefined || now - since >= calm)) {
        this.#states.delete(key);
        if (raised !== undefined) this.#tell(key, raised, "recovered");
      }
    }
  }

  #tell(key: string, { event, text, recovery, facts }: Problem, status: AlertMessage["status"]): void {
    const said = status === "raised" ? text : recovery;
    this.#post({
      text: `tq on ${escape(this.#host)}: ${escape(said.slice(0, LONGEST_TEXT))}`,
      event,
      status,
      key,
      host: this.#host,
      at: new Date(this.#clock.now()).toISOString(),
      facts,
    });
  }
}

/** For Slack's own markup: an error that quotes `<!channel>` must not wake everybody. */
function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
