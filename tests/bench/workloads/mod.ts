/**
 * All workloads, in the order of tables.
 *
 * @module
 */

import type { Workload } from "../workload.ts";
import { sizes } from "./data.ts";
import { idle } from "./idle.ts";
import { latencies } from "./latency.ts";
import { publishing } from "./publish.ts";
import { running } from "./running.ts";

/** The workloads. */
export const WORKLOADS: readonly Workload[] = [...publishing, ...running, ...latencies, ...sizes, idle];
