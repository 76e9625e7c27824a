/**
 * What `tq doctor` asks of Postgres. Reads catalogs and statistics alone, and takes no lock that anybody waits for.
 *
 * @module
 */

import type { Database, Patience, Statement } from "./database.ts";

/** The server. */
export interface ServerFacts {
  /** As shown: `15.4 (Debian 15.4-1)`. */
  readonly version: string;
  /** 150004 for 15.4. */
  readonly versionNumber: number;
  /** Whether it only follows another server. */
  readonly isStandby: boolean;
  /** Whether autovacuum works: it needs `track_counts`. */
  readonly autovacuum: boolean;
}

/** A transaction that keeps dead rows from being vacuumed away. */
export interface HoldingTransaction {
  /** Its process; null for a prepared transaction, which has none. */
  readonly pid: number | null;
  /** The session's `application_name`, or the name of the prepared transaction. */
  readonly name: string;
  /** `active`, `idle in transaction`, `prepared`, … */
  readonly state: string;
  /** How long it has been open. */
  readonly seconds: number;
}

/** Transactions that hold vacuum back. */
export interface HoldingTransactions {
  /** The oldest, five at most. */
  readonly oldest: readonly HoldingTransaction[];
  /** Sessions of other users, which this one may not look into. */
  readonly hidden: number;
}

/** The rows of one table, as Postgres counts them. */
export interface TableFacts {
  readonly name: string;
  readonly live: number;
  /** Versions of rows that nobody needs, and that still take room. */
  readonly dead: number;
  /** Seconds since the last vacuum of any kind; null: never, or not since the statistics were reset. */
  readonly vacuumed: number | null;
  /** Whether the table itself says no to autovacuum. */
  readonly optedOut: boolean;
}

/** What a table or an index takes. */
export interface RelationFacts {
  readonly name: string;
  readonly kind: "table" | "index";
  /** What it takes now, without TOAST. */
  readonly bytes: number;
  /** Of these, what was empty or dead when it was last analysed: an estimate. Null: never analysed. */
  readonly wasted: number | null;
}

const SERVER: Statement = () =>
  `select current_setting('server_version') as version, current_setting('server_version_num')::integer as number,
     pg_is_in_recovery() as standby,
     current_setting('autovacuum')::boolean and current_setting('track_counts')::boolean as autovacuum`;

const NOW: Statement = () => `select extract(epoch from clock_timestamp())::float8 * 1000 as now`;

/*
 * What a session has read (its xmin) or written (its xid) since its transaction began is what vacuum must keep; one that
 * is merely open holds nothing. Those of other databases do not matter. A vacuum does not hold vacuums back.
 */
const TRANSACTIONS: Statement = () =>
  `select pid, name, state, extract(epoch from now() - since)::float8 as seconds, hidden
   from (select count(*) as hidden from pg_stat_activity
       where datname = current_database() and query = '<insufficient privilege>') h
     left join lateral (
       select a.pid, a.application_name as name, a.state, a.xact_start as since
       from pg_stat_activity a
       where a.datname = current_database() and a.pid <> pg_backend_pid()
         and coalesce(a.backend_xid, a.backend_xmin) is not null
         and a.pid not in (select v.pid from pg_stat_progress_vacuum v)
       union all
       select null, gid, 'prepared', prepared from pg_prepared_xacts where database = current_database()
     ) t on since < now() - $1::text::float8 * interval '1 second'
   order by since limit 5`;

const TABLES: Statement = (schema) =>
  `select relname as name, n_live_tup as live, n_dead_tup as dead,
     extract(epoch from now() - greatest(last_vacuum, last_autovacuum))::float8 as vacuumed,
     exists (
       select from pg_class c, pg_options_to_table(c.reloptions)
       where c.oid = relid and option_name = 'autovacuum_enabled' and not option_value::boolean
     ) as opted_out
   from pg_stat_all_tables where schemaname = '${schema}' order by relname`;

/*
 * A row takes its header (23 bytes, or 31 with its map of nulls), its place in the page (4) and some alignment: 40 bytes
 * besides its columns. An index entry takes a header of 8, a place of 4 and alignment: 16; and pages of an index that
 * grows at random are two thirds full. Rows and pages are those of the last vacuum or analyze, both of one moment: the
 * current size over old counts would take growth for waste.
 */
const RELATIONS: Statement = (schema) =>
  `select c.relname as name, case c.relkind when 'r' then 'table' else 'index' end as kind,
     pg_relation_size(c.oid) as bytes,
     c.relpages::float8 * current_setting('block_size')::integer - case
       when c.reltuples < 0 then null
       when c.reltuples = 0 then 0
       when c.relkind = 'r' then c.reltuples * 100 / coalesce(
           (select option_value::integer from pg_options_to_table(c.reloptions) where option_name = 'fillfactor'), 100)
         * (40 + (select sum(s.avg_width * (1 - s.null_frac)) from pg_stats s
             where s.schemaname = '${schema}' and s.tablename = c.relname))
       else c.reltuples / 0.66
         * (16 + (select sum(s.avg_width) from pg_class t, pg_attribute a, pg_stats s
             where t.oid = i.indrelid and a.attrelid = t.oid and a.attnum = any(i.indkey::smallint[])
               and s.schemaname = '${schema}' and s.tablename = t.relname and s.attname = a.attname))
     end as wasted
   from pg_class c left join pg_index i on i.indexrelid = c.oid
   where c.relnamespace = to_regnamespace('${schema}') and c.relkind in ('r', 'i') order by c.relname`;

/** Looks at the server and at the tables of one record. Every look is one statement. */
export class Health {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Looks at the server. */
  async server(how: Patience = {}): Promise<ServerFacts> {
    type Row = { version: string; number: number; standby: boolean; autovacuum: boolean };
    const [row] = await this.#db.run<Row>(SERVER, [], how);
    return {
      version: row?.version ?? "unknown",
      versionNumber: row?.number ?? 0,
      isStandby: row?.standby ?? false,
      autovacuum: row?.autovacuum ?? false,
    };
  }

  /** The server's clock, milliseconds since the epoch. */
  async now(how: Patience = {}): Promise<number> {
    return (await this.#db.run<{ now: number }>(NOW, [], how))[0]?.now ?? NaN;
  }

  /** Finds transactions of this database that are older than so many seconds and hold vacuum back. */
  async transactions(olderThan: number, how: Patience = {}): Promise<HoldingTransactions> {
    type Row = HoldingTransaction & { hidden: number };
    const rows = await this.#db.run<Row>(TRANSACTIONS, [olderThan], how);
    return {
      // Where there is none, the one row tells of the hidden ones alone.
      oldest: rows.filter(({ seconds }) => seconds !== null)
        .map(({ pid, name, state, seconds }) => ({ pid, name, state, seconds })),
      hidden: rows[0]?.hidden ?? 0,
    };
  }

  /** Counts the rows of the record's tables; empty when it has none. */
  async tables(how: Patience = {}): Promise<TableFacts[]> {
    type Row = { name: string; live: number; dead: number; vacuumed: number | null; opted_out: boolean };
    const rows = await this.#db.run<Row>(TABLES, [], how);
    return rows.map(({ opted_out: optedOut, ...row }) => ({ ...row, optedOut }));
  }

  /** Measures the record's tables and indexes; empty when it has none. */
  async relations(how: Patience = {}): Promise<RelationFacts[]> {
    const rows = await this.#db.run<RelationFacts>(RELATIONS, [], how);
    return rows.map((row) => ({ ...row, wasted: row.wasted === null ? null : Math.max(0, row.wasted) }));
  }
}
