/**
 * The limit: the three statements that a task cannot do without (insert, claim, finish), 1,000 rows each, by the
 * driver and on the table that tq uses, with nothing around them. No hints, no lease, no retries, nothing that would
 * survive a fault.
 *
 * @module
 */

import postgres from "npm:postgres@3.4.9";
import type { DriverConfig, PublisherDriver } from "../role/driver.ts";
import type { Handlers } from "../role/handlers.ts";

const BATCH = 1000;
/** Pipelines of claim and finish: one may claim while another finishes. */
const PIPELINES = 2;

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
  let next = 1;
  return Promise.resolve({
    publishMany: (handler, list) => {
      const ids = list.map(() => next++);
      return run(INSERT, [`{${ids.join()}}`, JSON.stringify(list), handler]);
    },
  });
}

/** Claims and finishes the ids from 1 on, until there are no more. */
export function worker(config: DriverConfig, handlers: Handlers): Promise<void> {
  let next = 1;
  const engine = crypto.randomUUID();
  for (let i = 0; i < PIPELINES; i++) {
    (async () => {
      const run = connect(config);
      for (;;) {
        const ids = Array.from({ length: BATCH }, () => next++);
        const rows = await run(CLAIM, [`{${ids.join()}}`, engine]);
        if (rows.length === 0) return;
        if (config.handler === "read") { for (const row of rows) handlers.read(JSON.parse(row.data)); }
        else for (const _ of rows) handlers.noop();
        await run(FINISH, [`{${rows.map((row) => row.id).join()}}`]);
      }
    })();
  }
  return Promise.resolve();
}

function connect(config: DriverConfig): Run {
  const sql = postgres(config.postgres, {
    max: 1,
    fetch_types: false,
    types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
  });
  return (text, parameters) => sql.unsafe(text, parameters, { prepare: true }) as unknown as ReturnType<Run>;
}
