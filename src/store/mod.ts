/**
 * The record: a narrow set of verbs on one Postgres schema. The only SQL outside `migrations/` is in this folder.
 *
 * @module
 */

export type { Canceled } from "./cancel.ts";
export type { ChannelRoom } from "./claim.ts";
export { type EndedStretch, type Standing, stepSeconds } from "./dashboard.ts";
export type { Patience } from "./database.ts";
export type { PromoteOptions, Promotion, View } from "./due.ts";
export type { Ending } from "./finish.ts";
export type { InsertBatch, InsertKind, InsertRow } from "./insert.ts";
export { COUNT_LIMIT, type ListFilter, type ListSort, type TaskFilter, type TaskName } from "./inspect.ts";
export type { Beat, Death, EngineRow, HeldBy, HeldRow } from "./lease.ts";
export type { NoteRow } from "./log.ts";
export { type HandlerDefaultsByModel, type Opened, SCHEMA_LEVEL } from "./migrate.ts";
export type { StoreOptions } from "./options.ts";
export { type BriefRecord, type Page, PAGE_SORTS, type PageFilter, type PageSort } from "./page.ts";
export type { Transaction } from "./pool.ts";
export type { PruneWalk } from "./prune.ts";
export type { DayStats, Totals } from "./report.ts";
export type { ClaimedRow, Lease, ReadyRow } from "./row.ts";
export { Store } from "./store.ts";
