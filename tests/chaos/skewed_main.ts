/**
 * tq with a wall clock that is an hour ahead: only the database's clock may count.
 *
 * @module
 */

const AHEAD = 3_600_000;
const now = Date.now.bind(Date);
Date.now = () => now() + AHEAD;
const { main } = await import("../../src/cli/main.ts");
Deno.exit(await main(Deno.args));
