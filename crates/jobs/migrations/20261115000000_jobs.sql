-- The queue. A run is claimed from `queued`; its worker and its attempt number are the fencing token.
-- Failures, postponements and crashes are counted separately. Rows change several times, so pages keep free space and
-- are vacuumed by the number of dead rows, however long the table is.
CREATE TABLE job_runs (
    id                  uuid        PRIMARY KEY,
    kind                text        NOT NULL,
    subject             text,
    unique_key          text,
    payload             jsonb       NOT NULL,
    status              text        NOT NULL DEFAULT 'queued' CONSTRAINT job_runs_status_known
        CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'dead', 'cancelled')),
    due_at              timestamptz NOT NULL DEFAULT now(),
    attempt             integer     NOT NULL DEFAULT 0,
    failures            integer     NOT NULL DEFAULT 0,
    postponements       integer     NOT NULL DEFAULT 0,
    crashes             integer     NOT NULL DEFAULT 0,
    failing_since       timestamptz,
    postponed_since     timestamptz,
    cancel_requested_at timestamptz,
    worker              uuid,
    started_at          timestamptz,
    progress            jsonb,
    result              jsonb,
    problem             text,
    last_error          text,
    request_id          text,
    traceparent         text,
    created_at          timestamptz NOT NULL DEFAULT now(),
    finished_at         timestamptz
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000);

-- Workers claim by kind. A run that has ended its process twice is claimed apart from the others.
CREATE INDEX job_runs_queued ON job_runs (kind, due_at) WHERE status = 'queued' AND crashes < 2;
CREATE INDEX job_runs_suspect ON job_runs (due_at) WHERE status = 'queued' AND crashes >= 2;
CREATE INDEX job_runs_running ON job_runs (worker) WHERE status = 'running';
CREATE INDEX job_runs_dead ON job_runs (kind) WHERE status = 'dead';
CREATE INDEX job_runs_finished_at ON job_runs (finished_at) WHERE status IN ('succeeded', 'failed', 'cancelled');
CREATE UNIQUE INDEX job_runs_unique_key ON job_runs (kind, unique_key)
    WHERE unique_key IS NOT NULL AND status IN ('queued', 'running');

-- The workers that hold leases. One that has not been seen for longer than `jobs.lease` loses its runs.
CREATE TABLE job_workers (
    id      uuid        PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- The kinds that wait for an unavailable dependency. After `until`, one run tries whether it is back.
CREATE TABLE job_pauses (
    kind   text        PRIMARY KEY,
    since  timestamptz NOT NULL DEFAULT now(),
    until  timestamptz NOT NULL,
    reason text        NOT NULL
) WITH (fillfactor = 50);

-- The last occurrence of each schedule.
CREATE TABLE job_schedules (
    kind    text        PRIMARY KEY,
    last_at timestamptz NOT NULL
);

-- The numbers of runs by kind and state, in one row that all processes read and one of them refreshes.
CREATE TABLE job_totals (
    id           boolean          PRIMARY KEY DEFAULT true CONSTRAINT job_totals_one_row CHECK (id),
    counted_at   timestamptz      NOT NULL DEFAULT 'epoch',
    took_seconds double precision NOT NULL DEFAULT 0,
    counts       jsonb            NOT NULL DEFAULT '[]'
) WITH (fillfactor = 50);
INSERT INTO job_totals DEFAULT VALUES;
