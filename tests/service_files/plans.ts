/**
 * Plans for tests of service files.
 *
 * @module
 */

import type { ServicePlan } from "../../src/service_files/plan.ts";

/** The plan of a shop, with changes. */
export function planOf(changes: Partial<ServicePlan> = {}): ServicePlan {
  return {
    name: "tq-shop",
    root: "/srv/shop",
    varFolder: "/srv/shop/var",
    handlersFolder: "/srv/shop/handlers",
    handlers: "handlers",
    user: "shop",
    settings: [],
    secrets: [],
    drainTimeout: 30,
    processes: undefined,
    httpPort: 7654,
    hosts: { postgres: undefined, redis: undefined },
    ...changes,
  };
}
