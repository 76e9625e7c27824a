/**
 * tq with another wall clock. Its engines start from main.ts, and get theirs with their handlers.
 *
 * @module
 */

import "./skew.ts";

const { main } = await import("../../src/cli/main.ts");
Deno.exit(await main(Deno.args));
