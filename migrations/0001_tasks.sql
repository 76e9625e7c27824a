-- min_program: 1
-- The record. `:schema` is replaced by the validated TQ_SCHEMA (psql -v schema=tq reads this file as it is).

create table :schema.install (
  -- One random id: the hash tag of this record's Redis keys, so that two databases never share ids.
  id text not null default substr(replace(gen_random_uuid()::text, '-', ''), 1, 12),
  one boolean primary key default true check (one),
  -- What handlers say of themselves (static tq), by model; engines write it, publishers read it.
  handler_defaults jsonb not null default '{}'
);
insert into :schema.install default values;

-- Columns stand in the order of their alignment: no padding.
create table :schema.tasks (
  id bigint generated always as identity primary key,
  created timestamptz not null default now(),
  modified timestamptz not null default now(),
  started_at timestamptz,
  completed_at timestamptz,
  scheduled_for timestamptz,
  stale_after timestamptz,
  claims integer not null default 0,
  timeout_seconds integer not null default 1800,
  progress real,
  state smallint not null default 0 check (state in (-2, -1, 0, 1, 2, 10)),
  priority smallint not null default 0 check (priority between -100 and 100),
  attempts smallint not null default 0,
  max_attempts smallint not null default 5,
  deaths smallint not null default 0,
  cancel_requested boolean not null default false,
  engine_id uuid,
  channel text not null default 'tq_model_handler',
  model text not null,
  fname text not null,
  data jsonb not null default '{}',
  reason text,
  result jsonb,
  code_version text,
  trace_parent text,
  publish_key text,
  unique_key text
) with (
  -- Each row is updated twice within moments: the claim finds room on the insert's page.
  fillfactor = 70,
  -- Two dead versions a task: vacuum early and without its usual rests.
  autovacuum_vacuum_scale_factor = 0.05,
  autovacuum_vacuum_insert_scale_factor = 0.1,
  autovacuum_analyze_scale_factor = 0.05,
  autovacuum_vacuum_cost_delay = 0
);

-- Claims without Redis, and the sweeps.
create index tasks_ready on :schema.tasks (channel, priority desc, id) where state = 0;
-- Due tasks.
create index tasks_due on :schema.tasks (scheduled_for) where state = 2;
-- What an engine holds.
create index tasks_held on :schema.tasks (engine_id) where state = 1;
-- Ended tasks: the list's default order, statistics, pruning. One write a task; an index on every row's
-- `modified` costs three and made inserts 24 % slower (2026-11-24, 2 cores, batches of 1,000).
create index tasks_ended on :schema.tasks (modified) where state in (-2, -1, 10);
-- Ready tasks that may have killed an engine: they run alone.
create index tasks_suspects on :schema.tasks (id) where state = 0 and deaths > 0;
-- The few that may go stale.
create index tasks_stale on :schema.tasks (stale_after) where stale_after is not null and state in (0, 2);
create unique index tasks_publish_key on :schema.tasks (publish_key) where publish_key is not null;
create unique index tasks_unique_key on :schema.tasks (unique_key)
  where unique_key is not null and state in (0, 1, 2);

-- What handlers log and what went wrong; the success path writes none.
create table :schema.task_logs (
  id bigint generated always as identity primary key,
  task_id bigint not null,
  created timestamptz not null default now(),
  kind text not null default 'log',
  text text not null
);
create index task_logs_task on :schema.task_logs (task_id, id);

create table :schema.engines (
  id uuid primary key,
  host text not null,
  pid integer not null,
  code_version text,
  channels text[] not null,
  started_at timestamptz not null default now(),
  beat_at timestamptz not null default now(),
  running integer not null default 0
);

-- One row: who does the upkeep, until when.
create table :schema.leader (
  one boolean primary key default true check (one),
  holder uuid,
  until timestamptz not null default '-infinity'
);
insert into :schema.leader default values;
