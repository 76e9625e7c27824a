/**
 * A migrated schema on the shared Postgres, reached directly by one connection that keeps its plans.
 *
 * @module
 */

import { Database } from "../../src/store/database.ts";
import { migrate } from "../../src/store/migrate.ts";
import { Pool } from "../../src/store/pool.ts";
import { dropSchema, testSchema } from "./fixtures.ts";
import { postgresUrl } from "./servers.ts";

/** See the module. Autovacuum keeps away from its tasks, so that statistics change only when a test wants it. */
export class PlanGround implements AsyncDisposable {
  readonly url: string;
  readonly schema = testSchema();
  readonly pool: Pool;
  readonly db: Database;

  private constructor(url: string) {
    this.url = url;
    this.pool = new Pool({
      url: () => Promise.resolve(url),
      size: 1,
      prepare: true,
      applicationName: "tq plans",
    });
    this.db = new Database(this.pool, this.schema);
  }

  /** Makes and migrates one. */
  static async make(): Promise<PlanGround> {
    const ground = new PlanGround(await postgresUrl() ?? "");
    await migrate(ground.db);
    await ground.pool.run(`alter table ${ground.schema}.tasks set (autovacuum_enabled = off)`);
    return ground;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.close();
    await dropSchema(this.schema, this.url);
  }
}
