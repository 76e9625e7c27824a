/**
 * Whether the process lives, and whether tasks are taken: for those who restart it or send it no more work.
 *
 * @module
 */

import type { HttpApp, HttpParts } from "./parts.ts";

/** What is ready. */
export interface Readiness {
  readonly status: boolean;
  /** Postgres answers. */
  readonly postgres: boolean;
  /** At least one engine takes tasks. */
  readonly engines: boolean;
  /** Ready tasks do not wait while engines have room. */
  readonly consumption: boolean;
}

/** Milliseconds for which an answer is given again: nobody has to show a token here. */
const KEPT = 1000;
/** Milliseconds for an answer of Postgres. */
const DEADLINE = 2000;
/** A task that was ready for so long, while engines have room and take none, says that something is stuck. Seconds. */
const STUCK_AFTER = 30;

/** Serves `/healthz` and `/readyz`. */
export function mountHealth(app: HttpApp, parts: HttpParts): void {
  const probe = new ReadinessProbe(parts);
  let kept: { readonly until: number; readonly answer: Promise<Readiness> } | undefined;
  app.get("/healthz", (c) => c.json({ status: true }));
  app.get("/readyz", async (c) => {
    const now = parts.clock.monotonic();
    if (kept === undefined || kept.until <= now) kept = { until: now + KEPT, answer: probe.look() };
    const answer = await kept.answer;
    return c.json(answer, answer.status ? 200 : 503);
  });
}

/** Looks, and remembers when engines last took a task. */
export class ReadinessProbe {
  readonly #parts: Pick<HttpParts, "status" | "store" | "clock">;
  #claimed = "";
  #claimedAt: number;

  constructor(parts: Pick<HttpParts, "status" | "store" | "clock">) {
    this.#parts = parts;
    this.#claimedAt = parts.clock.monotonic();
  }

  /** Never rejects. */
  async look(): Promise<Readiness> {
    const { status, store, clock } = this.#parts;
    const engines = status().engines.filter(({ state }) => state === "ready");
    const claimed = JSON.stringify(engines.map(({ id, status }) => [id, status?.claimed]));
    if (claimed !== this.#claimed) [this.#claimed, this.#claimedAt] = [claimed, clock.monotonic()];
    const isIdle = clock.monotonic() - this.#claimedAt >= STUCK_AFTER * 1000;
    // Busy engines have no room; those that claim are at work. Asked in any case: it tells whether Postgres answers.
    const open = [...new Set(engines.flatMap(({ status }) => status?.open ?? []))];
    let postgres = true;
    let stuck = false;
    try {
      for (const channel of open.length === 0 ? ["none"] : open) {
        const waiting = await store.untouchedReady(channel, 1, STUCK_AFTER, { deadline: DEADLINE });
        stuck ||= isIdle && waiting.length > 0;
      }
    } catch {
      postgres = false;
    }
    const ready = {
      postgres,
      engines: status().ready && engines.length > 0,
      consumption: postgres && !stuck,
    };
    return { status: ready.postgres && ready.engines && ready.consumption, ...ready };
  }
}
