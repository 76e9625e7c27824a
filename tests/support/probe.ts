/**
 * Whether a server answers, found out fast.
 *
 * @module
 */

import { disconnect } from "../../src/dispatch/connection.ts";

/** Whether a Postgres answers a query there. */
export async function answersPostgres(url: string): Promise<boolean> {
  if (!await connects(url, 5432)) return false;
  const { default: connect } = await import("npm:postgres@3.4.9");
  const sql = connect(url, { max: 1, connect_timeout: 2, fetch_types: false, onnotice() {} });
  try {
    return await bounded(2000, sql`SELECT 1`.then(() => true));
  } catch {
    return false;
  } finally {
    await sql.end({ timeout: 0 });
  }
}

/** Whether a Redis answers a PING there. */
export async function answersRedis(url: string): Promise<boolean> {
  if (!await connects(url, 6379)) return false;
  const { Redis } = await import("npm:ioredis@6.0.0");
  const client = new Redis(url, {
    lazyConnect: true,
    retryStrategy: () => null,
    connectTimeout: 1000,
    maxRetriesPerRequest: 0,
  });
  client.on("error", () => {});
  try {
    return await bounded(
      2000,
      client.connect().then(() => client.ping()).then((answer) => answer === "PONG"),
    );
  } catch {
    return false;
  } finally {
    await disconnect(client);
  }
}

/** Whether anybody listens there, asked for at most 300 ms. An address without a host (a socket) is not asked. */
async function connects(url: string, usualPort: number): Promise<boolean> {
  const { hostname, port } = new URL(url);
  if (hostname === "") return true;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), 300);
  try {
    (await Deno.connect({ hostname, port: Number(port || usualPort), signal: late.signal })).close();
    return true;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}

/** What `promise` gives, or false once `ms` have passed. */
async function bounded(ms: number, promise: Promise<boolean>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(false), ms));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
