/**
 * Every scenario.
 *
 * @module
 */

import type { Scenario } from "../scenario.ts";
import { backlog } from "./backlog.ts";
import { blockedEngine } from "./blocked_engine.ts";
import { codeRefresh } from "./code_refresh.ts";
import { dueBurst } from "./due_burst.ts";
import { flushall } from "./flushall.ts";
import { hostLoss } from "./host_loss.ts";
import { postgresOutage } from "./postgres_outage.ts";
import { postgresRestart } from "./postgres_restart.ts";
import { powerCuts } from "./power_cuts.ts";
import { redisOutage } from "./redis_outage.ts";
import { startStop } from "./start_stop.ts";
import { zombieHost } from "./zombie_host.ts";

/** In the order of the issues that asked for them. */
export const SCENARIOS: readonly Scenario[] = [
  postgresOutage,
  powerCuts,
  zombieHost,
  flushall,
  redisOutage,
  postgresRestart,
  hostLoss,
  blockedEngine,
  dueBurst,
  backlog,
  codeRefresh,
  startStop,
];
