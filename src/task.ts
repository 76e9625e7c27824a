/**
 * What a task is: its states, the legal moves between them, its record, and the names it may carry.
 * Imports nothing, so that every part of tq can speak of tasks.
 *
 * @module
 */

/** Any value that JSON can carry. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** A JSON object: what a task carries as its data. */
export type JsonObject = { [key: string]: Json };

/**
 * The states of a task, by name. The numbers are those of the Django taskqueue this system comes from;
 * its clients rely on them.
 */
export const State = {
  /** Ready to run now. */
  scheduled: 0,
  /** Claimed by an engine. */
  started: 1,
  /** Waiting for `scheduled_for`: delayed, or a retry. */
  retry: 2,
  /** Done. */
  completed: 10,
  /** Done, badly; `reason` says why. */
  failed: -1,
  /** Stopped by request. */
  canceled: -2,
} as const;

/** The number of a state. */
export type State = (typeof State)[keyof typeof State];

/** The name of a state. */
export type StateName = keyof typeof State;

/** How each state is shown to people and to REST clients. */
export const STATE_DISPLAY: Readonly<Record<State, string>> = {
  [State.scheduled]: "scheduled",
  [State.started]: "started",
  [State.retry]: "retry_later",
  [State.completed]: "completed",
  [State.failed]: "failed",
  [State.canceled]: "canceled",
};

/** States that a task leaves only when a person asks for it (`retry_now`). */
export const TERMINAL_STATES: readonly State[] = [State.completed, State.failed, State.canceled];

/**
 * The legal moves. Anything else is a bug, and the guard in each UPDATE's WHERE makes it impossible.
 *
 *     publish ─► 0 scheduled ─claim─► 1 started ─► 10 completed
 *        │        ▲   ▲ └cancel,stale    │ ├─────► -1 failed
 *        ▼        │   └──── released ────┘ ├─────► -2 canceled
 *        2 retry ─┘ due                    └─────► 2 retry
 *                       -1, -2, 10 ─retry_now─► 0
 */
export const LEGAL_MOVES: Readonly<Record<State, readonly State[]>> = {
  [State.scheduled]: [State.started, State.canceled, State.failed],
  [State.started]: [State.completed, State.failed, State.retry, State.canceled, State.scheduled],
  [State.retry]: [State.scheduled, State.canceled, State.failed],
  [State.completed]: [State.scheduled],
  [State.failed]: [State.scheduled],
  [State.canceled]: [State.scheduled],
};

/** The record of one task, as `get`, `tq task` and REST show it. */
export interface TaskRecord<Data extends object = JsonObject> {
  /** Unique for ever within one database; rises with the time of publishing. */
  readonly id: number;
  /** Its number; `STATE_DISPLAY` has the name. */
  readonly state: State;
  /** The queue it was put on. */
  readonly channel: string;
  /** `app.Model` (a handler class) or `app` (a module of functions). */
  readonly model: string;
  /** The static method or exported function that runs it. */
  readonly fname: string;
  /** What it was published with. */
  readonly data: Data;
  /** -100…100; a higher one runs first. */
  readonly priority: number;
  /** How many times an engine has claimed it: the fence. Never reset. */
  readonly claims: number;
  /** Runs that count against `maxAttempts`. */
  readonly attempts: number;
  /** Runs it gets before it fails. */
  readonly maxAttempts: number;
  /** How many times it was inside its handler when its engine died. */
  readonly deaths: number;
  /** A run may take this many seconds. */
  readonly timeoutSeconds: number;
  /** Whether its engine was asked to stop it. */
  readonly cancelRequested: boolean;
  /** Why it failed, waits or was canceled; at most 1,000 characters. */
  readonly reason: string | null;
  /** What its handler gave to `completed`. */
  readonly result: Json | null;
  /** 0…1, as the handler last told. */
  readonly progress: number | null;
  /** When it was published. */
  readonly created: Date;
  /** When its record last changed. */
  readonly modified: Date;
  /** When its last run was claimed. */
  readonly startedAt: Date | null;
  /** When it ended, in whatever way. */
  readonly completedAt: Date | null;
  /** When it was or will be due: delayed, or a retry. */
  readonly scheduledFor: Date | null;
  /** A task that has not started by then fails as stale. */
  readonly staleAfter: Date | null;
  /** The engine of its last claim. */
  readonly engineId: string | null;
  /** The git commit that its last attempt ran on. */
  readonly codeVersion: string | null;
  /** W3C trace context of its publisher. */
  readonly traceParent: string | null;
  /** The option `key` that it was published with. */
  readonly publishKey: string | null;
  /** The option `unique` that it was published with. */
  readonly uniqueKey: string | null;
}

/** One line of a task's own log. */
export interface TaskLog {
  readonly id: number;
  readonly taskId: number;
  readonly created: Date;
  /** `log`, `error`, `progress`, `web`, … */
  readonly kind: string;
  readonly text: string;
}

/** `app.Model` or `app`. */
export const MODEL_PATTERN = /^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)?$/;
/** A static method or an exported function. */
export const FUNCTION_PATTERN = /^[A-Za-z][A-Za-z0-9_]*$/;
/** A channel. */
export const CHANNEL_PATTERN = /^[A-Za-z][A-Za-z0-9_.-]{0,99}$/;
/** A Postgres schema that tq writes into its statements unquoted. */
export const SCHEMA_PATTERN = /^[a-z_][a-z0-9_]{0,62}$/;

/** Names that every object has from JavaScript itself: no app, model or function is called so. */
export const INHERITED_NAMES: ReadonlySet<string> = new Set(Object.getOwnPropertyNames(Object.prototype));
/** Those that every class has besides: no static method is called so. */
export const INHERITED_BY_CLASSES: ReadonlySet<string> = new Set([
  ...INHERITED_NAMES,
  ...Object.getOwnPropertyNames(Function.prototype),
  "prototype",
]);

/** The longest model and function name, in characters. */
export const NAME_LIMIT = 200;
/** Whether it is a name after this pattern, and not too long. */
export function isName(value: unknown, pattern: RegExp): boolean {
  return typeof value === "string" && value.length <= NAME_LIMIT && pattern.test(value);
}

/** What a model, and a function, may be named: for whoever named one otherwise. */
export const MODEL_RULE = 'use "app.Model" or "app": letters, digits and _';
export const FUNCTION_RULE = "use letters, digits and _";

/** `reason` keeps this many characters. */
export const REASON_LIMIT = 1000;
/** The range of priorities, both ends included. */
export const PRIORITY_LIMIT = 100;
/** The largest id: 2⁴⁴ − 1, so that priority and id share one exact double in Redis. */
export const ID_LIMIT = 2 ** 44 - 1;

/** The channel of a model's tasks when nobody names one: classes and modules of functions wait apart. */
export function defaultChannel(model: string): string {
  return model.includes(".") ? "tq_model_handler" : "tq_app_handler";
}

/** The built-in model of web requests; its function is the HTTP method. */
export const WEB_REQUEST_MODEL = "tq_web_request";
/** The channel of web requests. */
export const WEB_REQUEST_CHANNEL = "tq_hook";

/** The built-in model of tasks that sleep and complete, to see that tasks run. */
export const TEST_MODEL = "tq_test";

/** The state that a number or a name means, or undefined. Names are those of `State` and of `STATE_DISPLAY`. */
export function parseState(text: string | number): State | undefined {
  for (const [name, state] of Object.entries(State)) {
    if (
      text === name || Number(text) === state && String(text).trim() !== "" || text === STATE_DISPLAY[state]
    ) {
      return state;
    }
  }
  return undefined;
}

/** A reason cut to what the record keeps, without the characters that Postgres' text refuses. */
export function cutReason(reason: string): string {
  return reason.slice(0, REASON_LIMIT).toWellFormed().replaceAll("\0", "\uFFFD");
}
