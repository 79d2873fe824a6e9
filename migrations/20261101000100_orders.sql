-- Orders are written once and cancelled at most once; `version` counts the changes.
CREATE TABLE orders (
    id             uuid        PRIMARY KEY,
    subject        text        NOT NULL,
    status         text        NOT NULL DEFAULT 'pending' CONSTRAINT orders_status_known CHECK (status IN ('pending', 'cancelled')),
    customer_email text        NOT NULL,
    currency       text        NOT NULL,
    items          jsonb       NOT NULL,
    total_cents    bigint      NOT NULL,
    note           text,
    version        bigint      NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now()
);
-- Ids are UUIDv7, so that this is also the order of creation: one index serves the pages and the reports. Cancelled orders
-- are never listed, however many there are.
CREATE INDEX orders_subject_id ON orders (subject, id DESC) WHERE status = 'pending';
