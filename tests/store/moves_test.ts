/**
 * Random legal and illegal moves against the store, compared with a model in memory.
 *
 * `TQ_TEST_SEED=<seed>` and `TQ_TEST_PATH=<path>`, which a failure prints, run one case again.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "npm:fast-check@4.10.2";
import { LEGAL_MOVES, State, TERMINAL_STATES } from "../../src/task.ts";
import { type Bench, storeSuite } from "../support/store_suite.ts";
import * as model from "../support/task_model.ts";
import type { ModelTask } from "../support/task_model.ts";
import { idsOf, publishOne } from "../support/tasks.ts";

const RUNS: Readonly<Record<Bench["ground"], number>> = { Postgres: 250, embedded: 25 };
const TASKS = 3;

/** A move, with whom and what it is about: which of two engines, which tasks (bits), and how. */
type Move = readonly [kind: Kind, engine: 0 | 1, tasks: number, detail: number];

const KINDS = [
  ...["publish", "claim", "claim", "claim", "claimAlone", "complete", "finish", "release", "cancel"],
  ...["retryNow", "makeDue", "promote", "makeStale", "expire", "rescue"],
] as const;
type Kind = (typeof KINDS)[number];

const moves: fc.Arbitrary<Move[]> = fc.array(
  fc.tuple(
    fc.constantFrom(...KINDS),
    fc.constantFrom<0 | 1>(0, 1),
    fc.integer({ min: 1, max: 2 ** TASKS - 1 }),
    fc.nat(5),
  ),
  { minLength: 3, maxLength: 24, size: "max" },
);

/** Makes every legal move, with the second task: chance alone might leave one out. */
const TOUR: readonly Move[] = ([
  ...[["publish", 4], ["makeStale", 0], ["expire", 0], ["retryNow", 0], ["cancel", 0], ["retryNow", 0]],
  ...[["claim", 0], ["finish", 1], ["retryNow", 0], ["claim", 0], ["finish", 2], ["makeDue", 0], [
    "promote",
    0,
  ]],
  ...[["claim", 0], ["release", 0], ["claim", 0], ["complete", 0], ["retryNow", 0], ["makeStale", 0], [
    "expire",
    0,
  ]],
  ...[["retryNow", 0], ["claim", 0], ["cancel", 0], ["release", 0], ["retryNow", 0], ["claim", 0], [
    "finish",
    2,
  ]],
  ...[["cancel", 0], ["retryNow", 0], ["claim", 0], ["complete", 4], ["rescue", 2], ["cancel", 0], [
    "retryNow",
    0,
  ]],
] as [Kind, number][]).map(([kind, detail]) => [kind, 0, 0b10, detail]);

/** The store and the model, side by side. */
class Pair {
  readonly tasks: ModelTask[] = [];
  /** The leases that engines once had, void or not. */
  readonly #leases: model.ModelLease[][] = [];
  readonly #engines = [crypto.randomUUID(), crypto.randomUUID()] as const;
  readonly #bench: Bench;

  constructor(bench: Bench) {
    this.#bench = bench;
  }

  async publish(detail: number): Promise<void> {
    const [maxAttempts, delayed] = [1 + detail % 3, detail > 3];
    const id = await publishOne(this.#bench.store, {
      max_attempts: maxAttempts,
      delay: delayed ? 3600 : null,
    });
    this.tasks.push(model.published(id, maxAttempts, delayed));
    this.#leases.push([]);
  }

  /** Makes one move on both sides; what the store answers must be what the model says. */
  async make([kind, n, bits, detail]: Move): Promise<void> {
    const { store, sql } = this.#bench;
    const engine = this.#engines[n];
    const chosen = this.tasks.filter((_, i) => bits & 1 << i);
    const ids = chosen.map((task) => task.id);
    const first = chosen[0];
    const expected = (by: (task: ModelTask) => boolean, of = chosen) => idsOf(of.filter(by));
    const leased = chosen.map((task) => ({ task, lease: this.#leaseOf(task, engine, detail) }));
    const leases = leased.map(({ task, lease }) => ({ id: task.id, claims: lease.claims }));
    if (kind === "publish") {
      if (this.tasks.length < TASKS) await this.publish(detail);
      return;
    }
    if (first === undefined) return;
    switch (kind) {
      case "claim": {
        const rows = await store.claim(ids, engine);
        assert.deepEqual(idsOf(rows), expected((task) => model.claims(task, engine, false)));
        return this.#remember(chosen, rows, engine);
      }
      case "claimAlone": {
        const rows = await store.claimSuspect(first.id, engine);
        assert.deepEqual(idsOf(rows), expected((task) => model.claims(task, engine, true), [first]));
        return this.#remember([first], rows, engine);
      }
      case "complete": {
        const count = await store.complete(leases, engine, null);
        return assert.equal(
          count,
          leased.filter(({ task, lease }) => model.finishes(task, lease, 10)).length,
        );
      }
      case "finish": {
        const state = ([10, -1, 2] as const)[detail % 3]!;
        const rest = { state, reason: "r", result: null, delay: 3600 };
        const count = await store.finish(leases.map((lease) => ({ ...lease, ...rest })), engine, null);
        return assert.equal(
          count,
          leased.filter(({ task, lease }) => model.finishes(task, lease, state)).length,
        );
      }
      case "release": {
        const rows = await store.release(leases, engine, "r");
        const ready = leased.filter(({ task, lease }) => model.releases(task, lease));
        return assert.deepEqual(idsOf(rows), idsOf(ready.map(({ task }) => task)));
      }
      case "cancel":
        return assert.deepEqual(idsOf(await store.cancel(ids, null)), expected(model.cancels));
      case "retryNow":
        return assert.deepEqual(idsOf(await store.retryNow(ids)), expected(model.retries));
      case "makeDue":
        await sql("update :schema.tasks set scheduled_for = now() where id = $1::text::bigint", [first.id]);
        first.due = first.state === State.retry;
        return;
      case "promote":
        return assert.deepEqual(
          idsOf((await store.promoteDue(100)).ready),
          expected(model.promotes, this.tasks),
        );
      case "makeStale":
        await sql("update :schema.tasks set stale_after = now() where id = $1::text::bigint", [first.id]);
        first.stale = true;
        return;
      case "expire":
        return assert.equal((await store.expireStale(100)).count, this.tasks.filter(model.expires).length);
      case "rescue": {
        const overdue = detail === 0 ? ids.slice(0, 1) : [];
        const suspects = detail % 2 === 0 ? ids : [];
        const { moved } = await store.rescue(engine, { reason: "engine lost", suspects, overdue });
        const rescued = this.tasks.filter((task) =>
          model.rescues(task, engine, suspects.includes(task.id), overdue.includes(task.id))
        );
        return assert.equal(moved, rescued.length);
      }
    }
  }

  /** The lease that an engine believes it has: its last one, its first one, or one that it never had. */
  #leaseOf(task: ModelTask, engine: string, detail: number): model.ModelLease {
    const own = this.#leases[this.tasks.indexOf(task)]?.filter((lease) => lease.engine === engine) ?? [];
    const lease = detail === 5 ? undefined : own.at(detail === 4 ? 0 : -1);
    return lease ?? { engine, claims: task.claims };
  }

  #remember(tasks: ModelTask[], rows: readonly { id: number; claims: number }[], engine: string): void {
    for (const task of tasks) {
      const row = rows.find((one) => one.id === task.id);
      if (row !== undefined) this.#leases[this.tasks.indexOf(task)]?.push({ engine, claims: row.claims });
    }
  }

  /** Compares every task, and checks what must hold of any record. */
  async compare(before: readonly State[]): Promise<void> {
    const records = new Map(
      (await this.#bench.store.get(this.tasks.map((task) => task.id))).map((record) => [record.id, record]),
    );
    for (const [i, task] of this.tasks.entries()) {
      const record = records.get(task.id);
      assert.ok(record !== undefined);
      const { state, claims, attempts, deaths, cancelRequested, engineId } = record;
      assert.deepEqual(
        { state, claims, attempts, deaths, cancelRequested, engine: engineId },
        {
          state: task.state,
          claims: task.claims,
          attempts: task.attempts,
          deaths: task.deaths,
          cancelRequested: task.cancelRequested,
          engine: task.engine,
        },
        `task ${i}`,
      );
      const from = before[i];
      if (from !== undefined && from !== state) {
        assert.ok(LEGAL_MOVES[from].includes(state), `${from} to ${state}`);
      }
      assert.equal(
        record.completedAt !== null,
        TERMINAL_STATES.includes(state),
        `completed_at in state ${state}`,
      );
      assert.ok(state !== State.retry || record.scheduledFor !== null, "waits for no time");
      assert.ok(state !== State.started || record.startedAt !== null, "runs since never");
    }
  }
}

storeSuite((test) => {
  test("whatever is asked for, tasks make the moves that are legal, and no others", async (bench) => {
    const seen = new Set<string>();
    const property = fc.asyncProperty(moves, async (all) => {
      await bench.sql("delete from :schema.tasks");
      const pair = new Pair(bench);
      await pair.publish(0);
      for (const move of all) {
        const before = pair.tasks.map((task) => task.state);
        await pair.make(move);
        await pair.compare(before);
        pair.tasks.forEach((task, i) => before[i] !== undefined && seen.add(`${before[i]} ${task.state}`));
      }
    });
    const [seed, path] = [Deno.env.get("TQ_TEST_SEED"), Deno.env.get("TQ_TEST_PATH")];
    await fc.assert(property, {
      numRuns: RUNS[bench.ground],
      examples: path === undefined ? [[[...TOUR]]] : [],
      ...(seed !== undefined && { seed: Number(seed) }),
      ...(path !== undefined && { path }),
    });
    if (path !== undefined) return;
    // The property would hold of a store that never moves anything: every legal move was made.
    const legal = Object.entries(LEGAL_MOVES).flatMap(([from, targets]) =>
      targets.map((to) => `${from} ${to}`)
    );
    assert.deepEqual(legal.filter((one) => !seen.has(one)), []);
  });
});
