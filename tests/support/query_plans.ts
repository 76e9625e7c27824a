/**
 * What Postgres does with the statements of the store: the texts and the parameters are those that the store sends.
 *
 * @module
 */

import assert from "node:assert/strict";
import type postgres from "npm:postgres@3.4.9";
import { Database } from "../../src/store/database.ts";
import { type Parameter, Pool, type Rows } from "../../src/store/pool.ts";

/** A statement as it is sent. */
export interface Sent {
  readonly text: string;
  readonly parameters: readonly Parameter[];
}

/** The first statement that a verb sends in `schema`, or the `nth`, from 0. */
export async function sentBy(
  schema: string,
  verb: (db: Database) => Promise<unknown>,
  nth = 0,
): Promise<Sent> {
  await using pool = new RecordingPool();
  await verb(new Database(pool, schema)).catch(() => {});
  const sent = pool.sent[nth];
  assert.ok(sent !== undefined);
  return sent;
}

/** Notes down what it should run, and answers with nothing. */
class RecordingPool extends Pool {
  readonly sent: Sent[] = [];

  constructor() {
    const url = () => Promise.reject(new Error("nothing is run here"));
    super({ url, size: 1, prepare: true, applicationName: "tq plans" });
  }

  override run<Row>(text: string, parameters: readonly Parameter[] = []): Promise<Rows<Row>> {
    this.sent.push({ text, parameters });
    return Promise.resolve(Object.assign([], { count: 0 }));
  }
}

/** A node of a plan, as `explain (format json)` tells it. */
interface PlanNode {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Index Name"?: string;
  readonly "Index Cond"?: string;
  readonly "Actual Rows": number;
  readonly "Actual Loops": number;
  readonly "Rows Removed by Filter"?: number;
  readonly Plans?: readonly PlanNode[];
}

/** How a statement found its rows. */
export interface Plan {
  /** Relations that were read from end to end. */
  readonly scanned: readonly string[];
  /** Indexes, with their conditions, and how many rows were looked at by them. */
  readonly indexes: readonly {
    readonly name: string;
    readonly condition: string | undefined;
    readonly rows: number;
  }[];
  /** Rows that were looked at, whether they were wanted or not. */
  readonly touched: number;
}

/** Runs `sent` as a program does that has run it some times already, and undoes it. */
export async function planOf(sql: postgres.Sql, { text, parameters }: Sent): Promise<Plan> {
  const values = parameters.map((value) =>
    value === null ? "null" : `'${String(value).replaceAll("'", "''")}'`
  );
  const execute = `execute planned${values.length > 0 ? `(${values.join(", ")})` : ""}`;
  await sql.unsafe(`prepare planned as ${text}`);
  try {
    // From the sixth time on Postgres may use one plan for all parameters.
    for (let i = 0; i < 6; i++) await sql.unsafe(`begin; ${execute}; rollback`);
    const explain = `explain (analyze, timing off, format json) ${execute}`;
    await sql.unsafe("begin");
    const [row] = await sql.unsafe(explain);
    await sql.unsafe("rollback");
    return read(row?.["QUERY PLAN"][0].Plan);
  } finally {
    await sql.unsafe("deallocate planned");
  }
}

function read(root: PlanNode): Plan {
  const nodes = [...walk(root)];
  const rows = (node: PlanNode) =>
    (node["Actual Rows"] + (node["Rows Removed by Filter"] ?? 0)) * node["Actual Loops"];
  return {
    scanned: nodes.filter((node) => node["Node Type"] === "Seq Scan").map((node) =>
      node["Relation Name"] ?? ""
    ),
    indexes: nodes.filter((node) => node["Index Name"] !== undefined)
      .map((node) => ({ name: node["Index Name"]!, condition: node["Index Cond"], rows: rows(node) })),
    touched: nodes.filter((node) => /(Seq|Index|Index Only|Heap) Scan$/.test(node["Node Type"]))
      .reduce((sum, node) => sum + rows(node), 0),
  };
}

function* walk(node: PlanNode): Iterable<PlanNode> {
  yield node;
  for (const child of node.Plans ?? []) yield* walk(child);
}
