/**
 * Whether Postgres serves, and whether it can keep its tables tidy.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { messageOf, UnreachableError } from "../errors.ts";
import type { Settings } from "../settings.ts";
import { connectStore, databaseName, isEmbedded } from "../store/connect.ts";
import type { HoldingTransactions, ServerFacts } from "../store/health.ts";
import type { Store } from "../store/mod.ts";
import { attempt, bad, type Finding, note, ok, type Report, warning } from "./finding.ts";
import { judgeAutovacuum, judgeBloat, judgeDeadRows } from "./tables.ts";

/** The oldest that has `gen_random_uuid()` and `autovacuum_vacuum_insert_scale_factor`, as the schema needs. */
const OLDEST = 13;
/** Milliseconds for one statement. */
const HOW = { deadline: 3000 } as const;
/** Milliseconds that clocks may differ. */
const CLOCK_LIMIT = 1000;
/** The clock is asked so many times: the quickest answer says most. */
const CLOCK_SAMPLES = 3;
/** A transaction that is open for longer than this, in seconds, is told. */
const TRANSACTION_LIMIT = 300;

/** Looks at Postgres; starts no embedded database. */
export async function examinePostgres(
  settings: Settings,
  report: Report,
  clock: Clock = systemClock,
): Promise<void> {
  const embedded = isEmbedded(settings);
  await using store = connectStore(settings, {
    applicationName: "tq doctor",
    connections: 1,
    startsEmbedded: false,
  });
  const { health } = store;
  let server: ServerFacts;
  try {
    server = await health.server(HOW);
  } catch (error) {
    if (!(error instanceof UnreachableError)) throw error;
    return report(
      embedded
        ? note("postgres", "the embedded database does not run; who needs it starts it")
        : bad("postgres", messageOf(error), "see that it runs and that TQ_DATABASE_URL is right"),
    );
  }
  report(judgeServer(server, databaseName(settings)));
  await attempt(report, "schema", () => examineSchema(store, settings.TQ_SCHEMA));
  await attempt(report, "clock", async () => judgeClock(await clockDifference(() => health.now(HOW), clock)));
  await attempt(report, "transactions", async () => {
    return judgeTransactions(await health.transactions(TRANSACTION_LIMIT, HOW));
  });
  await attempt(report, "tables", async () => {
    const tables = await health.tables(HOW);
    if (tables.length === 0) return [];
    const { TQ_SCHEMA: schema } = settings;
    return [
      judgeAutovacuum(server, tables, schema, embedded),
      judgeDeadRows(tables, schema, embedded),
      ...judgeBloat(await health.relations(HOW), schema),
    ];
  });
}

/** Judges the server itself; `name` says where it is. */
export function judgeServer(server: ServerFacts, name: string): Finding {
  const found = `${name}: Postgres ${server.version}`;
  if (server.versionNumber < OLDEST * 10_000) {
    return bad("postgres", `${found} is too old`, `use Postgres ${OLDEST} or later`);
  }
  if (!server.isStandby) return ok("postgres", found);
  return bad(
    "postgres",
    `${found}, a standby: nothing can be written`,
    "name the primary in TQ_DATABASE_URL",
  );
}

async function examineSchema(store: Store, schema: string): Promise<Finding> {
  await store.open(0, HOW);
  return ok("schema", `${schema} is as this tq needs it`);
}

/** How far two clocks are apart, milliseconds. */
export interface ClockDifference {
  /** Positive when the server's is ahead. */
  readonly offset: number;
  /** The difference may be so much larger or smaller. */
  readonly uncertainty: number;
}

/** Compares a server's clock with this host's. */
export async function clockDifference(ask: () => Promise<number>, clock: Clock): Promise<ClockDifference> {
  let best: ClockDifference | undefined;
  for (let i = 0; i < CLOCK_SAMPLES; i++) {
    const [before, sent] = [clock.now(), clock.monotonic()];
    const there = await ask();
    const uncertainty = (clock.monotonic() - sent) / 2;
    if (best !== undefined && best.uncertainty <= uncertainty) continue;
    best = { offset: there - (before + uncertainty), uncertainty };
  }
  return best ?? { offset: 0, uncertainty: Infinity };
}

/** Judges the difference of clocks. Due times and leases follow the server's alone; people and logs do not. */
export function judgeClock({ offset, uncertainty }: ClockDifference): Finding {
  const seconds = `${(Math.abs(offset) / 1000).toFixed(1)} s`;
  if (Math.abs(offset) - uncertainty > CLOCK_LIMIT) {
    const found = `Postgres' clock is ${seconds} ${offset > 0 ? "ahead of" : "behind"} this host's`;
    return warning("clock", found, "set both by NTP");
  }
  return ok("clock", `this host's and Postgres' are ${Math.round(Math.abs(offset))} ms apart`);
}

/** Judges transactions that hold vacuum back. */
export function judgeTransactions({ oldest, hidden }: HoldingTransactions): Finding[] {
  const findings = oldest.map(({ pid, name, state, seconds }) => {
    const who = pid === null
      ? `the prepared transaction ${name}`
      : `process ${pid} (${name || "no name"}, ${state})`;
    const found = `${who} has been in a transaction for ${
      Math.round(seconds / 60)
    } min: vacuum can remove nothing newer`;
    return warning(
      "transactions",
      found,
      pid === null ? "commit it or roll it back" : `end it: select pg_terminate_backend(${pid})`,
    );
  });
  if (findings.length > 0) return findings;
  if (hidden === 0) return [ok("transactions", "none holds vacuum back")];
  return [note(
    "transactions",
    `none of this user's holds vacuum back; ${hidden} of other users cannot be looked into`,
    "grant pg_read_all_stats to the user of TQ_DATABASE_URL",
  )];
}
