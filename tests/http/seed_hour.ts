/**
 * An hour that has gone by: ended tasks with plausible times, as if a shop had been open.
 *
 * @module
 */

import type { TestRecord } from "../support/test_record.ts";

/** A handler of the shop, and how its tasks fare. */
interface Trade {
  readonly model: string;
  readonly fname: string;
  readonly channel: string;
  /** Tasks a minute, about. */
  readonly rate: number;
  /** Seconds of a run, about. */
  readonly seconds: number;
  /** One of so many fails. */
  readonly failsOneOf: number;
  readonly reason: string;
}

const MODELS = "tq_model_handler";
const TRADES: readonly Trade[] = [
  {
    model: "shop.Invoice",
    fname: "on_tq_total",
    channel: MODELS,
    rate: 90,
    seconds: 0.05,
    failsOneOf: 900,
    reason: "there is nothing to add up",
  },
  {
    model: "shop.Order",
    fname: "on_tq_confirm",
    channel: MODELS,
    rate: 45,
    seconds: 0.2,
    failsOneOf: 400,
    reason: "the order was withdrawn",
  },
  {
    model: "mail",
    fname: "on_tq_send",
    channel: "tq_app_handler",
    rate: 60,
    seconds: 0.4,
    failsOneOf: 150,
    reason: "550 mailbox is full",
  },
  {
    model: "tq_web_request",
    fname: "POST",
    channel: "tq_hook",
    rate: 20,
    seconds: 0.3,
    failsOneOf: 120,
    reason: "503 Service Unavailable",
  },
];

/** Writes the hour into a record. */
export async function seedHour(record: TestRecord): Promise<void> {
  for (const trade of TRADES) {
    // Busier in waves, and a rush 20 minutes ago that made tasks wait.
    await record.run(
      `insert into :schema.tasks (state, claims, attempts, channel, model, fname, data, reason, created, started_at,
         completed_at, modified)
       select case when bad then -1 else 10 end, 1, 1, '${trade.channel}', '${trade.model}', '${trade.fname}', '{}',
         case when bad then '${trade.reason}' end, ready, ready + wait, ready + wait + run, ready + wait + run
       from (
         select now() - m * interval '1 minute' - random() * interval '1 minute' as ready,
           (case when m between 17 and 21 then 90 * random() else 0.02 * random() end + 0.005) * interval '1 second' as wait,
           ${trade.seconds} * (0.4 + random() * random() * 3) * interval '1 second' as run,
           random() < 1.0 / ${trade.failsOneOf} as bad
         from generate_series(2, 61) as m, generate_series(1, (${trade.rate} * (1 + 0.4 * sin(m / 7.0)
           + case when m between 18 and 20 then 1.5 else 0 end))::integer)
       ) as past`,
    );
  }
  await record.run("analyze :schema.tasks");
}
