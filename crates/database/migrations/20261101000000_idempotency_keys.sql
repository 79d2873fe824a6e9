-- Answers to writes, by the caller's key. Written in the transaction of the effect.
CREATE TABLE idempotency_keys (
    subject     text        NOT NULL,
    route       text        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,
    status      smallint    NOT NULL,
    location    text,
    body        text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (subject, route, key)
);
CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at);
