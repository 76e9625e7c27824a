/**
 * Takes tasks back from engines whose lease ran out.
 *
 * @module
 */

import { logger } from "../log.ts";
import { pushed } from "./due.ts";
import { UpkeepService } from "./upkeep_service.ts";

/** Milliseconds between looks. */
const INTERVAL = 2500;
/** Every so many-th look asks the record although no engine is silent: an engine's row may be gone, its tasks not. */
const ALWAYS_EVERY = 12;

/** The loop that rescues. */
export class Recoverer extends UpkeepService {
  protected readonly loop = "recoverer";
  readonly #log = logger("upkeep");
  #round = 0;

  async upkeep(): Promise<number> {
    const { TQ_LEASE: lease } = this.options.settings;
    // After an outage everyone gets a whole lease to beat again (invariant 12). Whether there was one is known at the
    // next beat only: a look that comes before it, by a clock that was set or after a sleep, finds nobody.
    if (this.options.gapless() < lease * 1000) return this.skipped(INTERVAL);
    const isAlways = this.#round++ % ALWAYS_EVERY === 0;
    if (!isAlways && !this.options.outlook.mayBeSilentFor(lease)) return this.skipped(INTERVAL);
    const until = this.options.gaplessUntil();
    for (const engine of await this.store.deadEngines(lease, { until })) {
      // It may have beaten while those before it were rescued.
      if (!await this.store.bury(engine.id, lease)) continue;
      const { ready, moved } = await this.store.rescue(engine.id, {
        reason: "engine lost",
        isCertain: false,
      });
      this.observer?.moved("rescued", moved);
      this.observer?.lost(engine);
      await pushed(this.dispatch, ready);
      this.#log.warn("Engine lost", { engine: engine.id, host: engine.host, pid: engine.pid, tasks: moved });
    }
    return INTERVAL;
  }
}
