/**
 * How a supervisor is made.
 *
 * @module
 */

import type { Settings } from "../config.ts";
import type { Notifier } from "./notify.ts";
import type { OldEngine } from "./old_engines.ts";
import type { Serve } from "./serving.ts";

/** What a supervisor is given. */
export interface SupervisorOptions {
  readonly settings: Settings;
  /** Brings the schema up to date first. @default true */
  readonly migrate?: boolean;
  /** Engines of the program that this one has replaced. @default it has replaced none */
  readonly oldEngines?: readonly OldEngine[];
  /**
   * Puts a new tq in the place of this process, which leaves these engines to it; throws when that fails. Returns where
   * the system cannot do it: then it ends instead. @default it ends instead
   */
  replaceProcess?(engines: readonly OldEngine[]): void;
  /** Hears how it does. */
  readonly notifier?: Notifier | undefined;
  /** Starts what serves beside the engines. @default nothing is served */
  readonly serve?: Serve | undefined;
  /** Takes the lines of the engines' logs. */
  writeLine(line: string): void;
}
