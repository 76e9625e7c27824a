/**
 * Whether the tables are vacuumed, and what room they waste.
 *
 * @module
 */

import type { RelationFacts, ServerFacts, TableFacts } from "../store/health.ts";
import { bad, count, type Finding, note, ok, size, warning } from "./finding.ts";

/** Dead rows are told of from so many on, */
const DEAD_ROWS = 10_000;
/** and when there are so many for each live one, */
const DEAD_SHARE = 0.2;
/** and when the last vacuum was longer ago than this, seconds: in a busy queue they come by the thousand a minute. */
const VACUUM_DUE = 600;

/** Empty room is told of from so many bytes on, */
const WASTED = 64 * 1024 * 1024;
/** and when it is more than this part of the whole. It is an estimate, and room that is free will be used again. */
const WASTED_SHARE = 0.5;

/** Whether Postgres vacuums by itself. Without it, tables and indexes grow for ever, and claims get slower. */
export function judgeAutovacuum(
  server: Pick<ServerFacts, "autovacuum">,
  tables: readonly TableFacts[],
  schema: string,
  embedded: boolean,
): Finding {
  if (embedded) return note("autovacuum", "the embedded database has none");
  if (!server.autovacuum) {
    return bad(
      "autovacuum",
      "it is off in this Postgres",
      "set autovacuum and track_counts to on in postgresql.conf, then select pg_reload_conf()",
    );
  }
  const [off, ...more] = tables.filter((table) => table.optedOut).map((table) => `${schema}.${table.name}`);
  if (off === undefined) return ok("autovacuum", "it is on");
  const found = `it is off for ${[off, ...more].join(", ")}`;
  return bad("autovacuum", found, `alter table ${off} reset (autovacuum_enabled)`);
}

/** Whether vacuum keeps up. */
export function judgeDeadRows(tables: readonly TableFacts[], schema: string, embedded: boolean): Finding {
  const worst = tables.filter(isLittered).sort((a, b) => b.dead - a.dead)[0];
  if (worst === undefined) {
    const dead = tables.reduce((sum, table) => sum + table.dead, 0);
    return ok("dead rows", `${dead} of ${dead + tables.reduce((sum, table) => sum + table.live, 0)}`);
  }
  const last = worst.vacuumed === null
    ? "never vacuumed"
    : `vacuumed ${count(Math.round(worst.vacuumed / 60), "minute")} ago`;
  const found = `${worst.dead} in ${worst.name}, which has ${worst.live} live ones and was ${last}`;
  if (embedded) return warning("dead rows", found, "move to a Postgres server when it gets slow");
  return warning("dead rows", found, `vacuum (analyze) ${schema}.${worst.name}`);
}

function isLittered({ live, dead, vacuumed }: TableFacts): boolean {
  return dead > DEAD_ROWS && dead > live * DEAD_SHARE && (vacuumed === null || vacuumed > VACUUM_DUE);
}

/** Whether tables and indexes take much more room than what is in them. */
export function judgeBloat(relations: readonly RelationFacts[], schema: string): Finding[] {
  const bloated = relations.filter(({ bytes, wasted }) =>
    wasted !== null && wasted > WASTED && wasted > bytes * WASTED_SHARE
  );
  if (bloated.length > 0) {
    return bloated.map(({ name, kind, bytes, wasted }) =>
      warning(
        "bloat",
        `the ${kind} ${name} takes ${size(bytes)}, of which about ${size(wasted ?? 0)} are empty`,
        kind === "index"
          ? `reindex index concurrently ${schema}.${name}`
          : `when few tasks run: vacuum (full) ${schema}.${name}; everything waits meanwhile`,
      )
    );
  }
  const total = (kind: RelationFacts["kind"]) =>
    size(relations.filter((one) => one.kind === kind).reduce((sum, { bytes }) => sum + bytes, 0));
  return [ok("bloat", `tables take ${total("table")}, indexes ${total("index")}`)];
}
