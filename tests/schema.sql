-- What the migrations make, read from the catalogs. Not to be edited:
-- TQ_TEST_WRITE_SCHEMA=1 deno task test tests/store/schema_test.ts

create table tq.engines (
  id uuid not null,
  host text not null,
  pid integer not null,
  code_version text,
  channels text[] not null,
  started_at timestamp with time zone not null default now(),
  beat_at timestamp with time zone not null default now(),
  running integer not null default 0,
  constraint engines_pkey PRIMARY KEY (id)
);
create table tq.install (
  id text not null default substr(replace((gen_random_uuid())::text, '-'::text, ''::text), 1, 12),
  one boolean not null default true,
  handler_defaults jsonb not null default '{}'::jsonb,
  constraint install_one_check CHECK (one),
  constraint install_pkey PRIMARY KEY (one)
);
create table tq.leader (
  one boolean not null default true,
  holder uuid,
  until timestamp with time zone not null default '-infinity'::timestamp with time zone,
  constraint leader_one_check CHECK (one),
  constraint leader_pkey PRIMARY KEY (one)
);
create table tq.migrations (
  version integer not null,
  name text not null,
  checksum text not null,
  min_program integer not null,
  applied_at timestamp with time zone not null default now(),
  constraint migrations_pkey PRIMARY KEY (version)
);
create table tq.task_logs (
  id bigint not null generated always as identity,
  task_id bigint not null,
  created timestamp with time zone not null default now(),
  kind text not null default 'log'::text,
  text text not null,
  constraint task_logs_pkey PRIMARY KEY (id)
);
CREATE INDEX task_logs_task ON tq.task_logs USING btree (task_id, id);
create table tq.tasks (
  id bigint not null generated always as identity,
  created timestamp with time zone not null default now(),
  modified timestamp with time zone not null default now(),
  started_at timestamp with time zone,
  completed_at timestamp with time zone,
  scheduled_for timestamp with time zone,
  stale_after timestamp with time zone,
  claims integer not null default 0,
  timeout_seconds integer not null default 1800,
  progress real,
  state smallint not null default 0,
  priority smallint not null default 0,
  attempts smallint not null default 0,
  max_attempts smallint not null default 5,
  deaths smallint not null default 0,
  cancel_requested boolean not null default false,
  engine_id uuid,
  channel text not null default 'tq_model_handler'::text,
  model text not null,
  fname text not null,
  data jsonb not null default '{}'::jsonb,
  reason text,
  result jsonb,
  code_version text,
  trace_parent text,
  publish_key text,
  unique_key text,
  constraint tasks_pkey PRIMARY KEY (id),
  constraint tasks_priority_check CHECK (((priority >= '-100'::integer) AND (priority <= 100))),
  constraint tasks_state_check CHECK ((state = ANY (ARRAY['-2'::integer, '-1'::integer, 0, 1, 2, 10])))
) with (
  autovacuum_analyze_scale_factor=0.05,
  autovacuum_vacuum_cost_delay=0,
  autovacuum_vacuum_insert_scale_factor=0.1,
  autovacuum_vacuum_scale_factor=0.05,
  fillfactor=45
);
CREATE INDEX tasks_due ON tq.tasks USING btree (scheduled_for) WHERE (state = 2);
CREATE INDEX tasks_ended ON tq.tasks USING btree (modified) WHERE (state = ANY (ARRAY['-2'::integer, '-1'::integer, 10]));
CREATE INDEX tasks_held ON tq.tasks USING btree (engine_id) WHERE (state = 1);
CREATE UNIQUE INDEX tasks_publish_key ON tq.tasks USING btree (publish_key) WHERE (publish_key IS NOT NULL);
CREATE INDEX tasks_ready ON tq.tasks USING btree (channel, priority DESC, id) WHERE (state = 0);
CREATE INDEX tasks_stale ON tq.tasks USING btree (stale_after) WHERE ((stale_after IS NOT NULL) AND (state = ANY (ARRAY[0, 2])));
CREATE INDEX tasks_suspects ON tq.tasks USING btree (id) WHERE ((state = 0) AND (deaths > 0));
CREATE UNIQUE INDEX tasks_unique_key ON tq.tasks USING btree (unique_key) WHERE ((unique_key IS NOT NULL) AND (state = ANY (ARRAY[0, 1, 2])));
