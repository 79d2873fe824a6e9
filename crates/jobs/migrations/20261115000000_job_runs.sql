-- The truth about every job. The queue behind it only delivers: `delivery` names the one delivery that counts,
-- `attempt` counts the starts and is the fencing token of the one that runs.
CREATE TABLE job_runs (
    id               uuid        PRIMARY KEY,
    subject          text,
    kind             text        NOT NULL,
    slot             bigint,
    payload          jsonb       NOT NULL,
    status           text        NOT NULL DEFAULT 'queued'
        CONSTRAINT job_runs_status_known CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'dead')),
    delivery         uuid        NOT NULL DEFAULT gen_random_uuid(),
    attempt          integer     NOT NULL DEFAULT 0,
    attempts_allowed integer     NOT NULL,
    result           jsonb,
    problem          text,
    last_error       text,
    request_id       text,
    traceparent      text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    due_at           timestamptz NOT NULL DEFAULT now(),
    finished_at      timestamptz,
    CONSTRAINT job_runs_kind_slot UNIQUE (kind, slot)
);
CREATE INDEX job_runs_unfinished ON job_runs (status, due_at) WHERE status IN ('queued', 'running', 'dead');
CREATE INDEX job_runs_finished_at ON job_runs (finished_at) WHERE finished_at IS NOT NULL;
