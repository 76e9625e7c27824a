/**
 * The limit: the three statements that a task cannot do without (insert, claim, finish), by the driver and on the table
 * that tq uses, with as little around them as a workload allows. Batches of 1,000, or what so many callers have at once;
 * a lone task is told through a list of Redis. No lease, no retries, nothing that would survive a fault.
 *
 * @module
 */

import { Redis } from "npm:ioredis@6.0.0";
import postgres from "npm:postgres@3.4.9";
import type { DriverConfig, PublisherDriver } from "../role/driver.ts";
import type { BenchData, HandlerName, Handlers } from "../role/handlers.ts";

const BATCH = 1000;
/** Pipelines of claim and finish: one may claim while another finishes. */
const PIPELINES = 2;
/** The list of Redis with the ids of tasks whose latency is measured. */
const READY = "limit";

const INSERT = `insert into tq.tasks (id, channel, model, fname, data) overriding system value
  select t.id, 'tq_app_handler', 'bench', $3, t.data
  from rows from (unnest($1::text::bigint[]), jsonb_array_elements($2::text::jsonb)) as t(id, data)`;
const CLAIM = `update tq.tasks
  set state = 1, claims = claims + 1, engine_id = $2::text::uuid, started_at = now(), modified = now()
  where id = any($1::text::bigint[]) and state is not distinct from 0
  returning id, fname, data::text as data`;
const FINISH = `update tq.tasks
  set state = 10, attempts = attempts + 1, completed_at = now(), modified = now()
  where id = any($1::text::bigint[]) and state is not distinct from 1`;

type Run = (text: string, parameters: string[]) => Promise<readonly { id: number; data: string }[]>;

/** Inserts. */
export function publisher(config: DriverConfig): Promise<PublisherDriver> {
  const run = connect(config);
  const redis = new Redis(config.redis);
  let next = 1;
  const insert = async (handler: HandlerName, list: readonly BenchData[]) => {
    const ids = list.map(() => next++);
    await run(INSERT, [arrayOf(ids), JSON.stringify(list), handler]);
    return ids;
  };
  let together: { readonly list: BenchData[]; readonly inserted: Promise<number[]> } | undefined;
  return Promise.resolve({
    publishMany: insert,
    /** What callers publish in one turn goes into one statement. */
    publish: async (handler, data) => {
      if (together === undefined) {
        const list: BenchData[] = [];
        const inserted = Promise.resolve().then(() => {
          together = undefined;
          return insert(handler, list);
        });
        together = { list, inserted };
      }
      const { list, inserted } = together;
      const place = list.push(data) - 1;
      const id = (await inserted)[place] as number;
      if (handler === "stamp") redis.lpush(READY, id);
    },
  });
}

/** Runs tasks. */
export async function worker(config: DriverConfig, handlers: Handlers): Promise<void> {
  const engine = crypto.randomUUID();
  const claim = (run: Run, ids: readonly number[]) => run(CLAIM, [arrayOf(ids), engine]);
  switch (config.handler) {
    case "stamp":
      runTold(config, handlers, claim);
      break;
    case "sleep":
      await runSleeps(config, handlers, claim);
      break;
    default:
      runInBatches(config, handlers, claim);
  }
}

type Claim = (run: Run, ids: readonly number[]) => ReturnType<Run>;

/** Claims and finishes the ids from 1 on, until there are no more. */
function runInBatches(config: DriverConfig, handlers: Handlers, claim: Claim): void {
  let next = 1;
  const pipeline = async () => {
    const run = connect(config);
    for (;;) {
      const rows = await claim(run, Array.from({ length: BATCH }, () => next++));
      if (rows.length === 0) return;
      if (config.handler === "read") { for (const row of rows) handlers.read(JSON.parse(row.data)); }
      else for (const _ of rows) handlers.noop();
      await run(FINISH, [arrayOf(rows.map((row) => row.id))]);
    }
  };
  for (let i = 0; i < PIPELINES; i++) pipeline();
}

/** Runs each task as soon as Redis tells of it. */
async function runTold(config: DriverConfig, handlers: Handlers, claim: Claim): Promise<void> {
  const [redis, run, finish] = [new Redis(config.redis), connect(config), connect(config)];
  for (;;) {
    const [, id] = await redis.brpop(READY, 0) as [string, string];
    for (const row of await claim(run, [Number(id)])) handlers.stamp(JSON.parse(row.data));
    finish(FINISH, [arrayOf([Number(id)])]);
  }
}

/** What sleeps is claimed before the first begins: then there are the timers of the runtime, and ends. */
async function runSleeps(config: DriverConfig, handlers: Handlers, claim: Claim): Promise<void> {
  const [run, finish] = [connect(config), connect(config)];
  const ids: number[] = [];
  for (let next = 1;;) {
    const rows = await claim(run, Array.from({ length: BATCH }, () => next++));
    if (rows.length === 0) break;
    ids.push(...rows.map((row) => row.id));
  }
  const ended: number[] = [];
  const place = async () => {
    for (let id = ids.pop(); id !== undefined; id = ids.pop()) {
      await handlers.sleep();
      ended.push(id);
      if (ended.length >= BATCH || ids.length === 0) finish(FINISH, [arrayOf(ended.splice(0))]);
    }
  };
  for (let i = 0; i < config.workers; i++) place();
}

function arrayOf(ids: readonly number[]): string {
  return `{${ids.join()}}`;
}

function connect(config: DriverConfig): Run {
  const sql = postgres(config.postgres, {
    max: 1,
    fetch_types: false,
    types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
  });
  // The driver would not send what nobody waits for.
  return (text, parameters) =>
    sql.unsafe(text, parameters, { prepare: true }).execute() as unknown as ReturnType<Run>;
}
