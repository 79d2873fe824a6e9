//! Problems of the service and of what it needs: 5xx.

use crate::{ErrorStatus, Origin, ProblemType, Retry};

/// A bug or a panic, and nothing else.
pub static INTERNAL: ProblemType = ProblemType {
    code: "internal",
    status: ErrorStatus::new(500),
    title: "Internal error",
    origin: Origin::Service,
    retry: Retry::Never,
    advice: "Report `request_id` and `trace_id`. Do not retry: the same request triggers the same bug.",
    user_message: "Something went wrong on our side. Our team has been notified.",
    operator_hint: "Find the log line by `trace_id`: it has the cause or the backtrace. Roll back if the problem came with a release.",
};

/// A call to an upstream service failed.
pub static UPSTREAM_ERROR: ProblemType = ProblemType {
    code: "upstream-error",
    status: ErrorStatus::new(502),
    title: "An upstream service failed",
    origin: Origin::Dependency,
    retry: Retry::SameKey,
    advice: "Wait for `Retry-After`. Retry reads; retry writes only with the same idempotency key.",
    user_message: "One of our partners has a problem. Please try again shortly.",
    operator_hint: "See `dependency_request_duration_seconds` by outcome: `unauthorized` means our own credentials, `error` the upstream service.",
};

/// An upstream service returned a response that cannot be read.
pub static UPSTREAM_INVALID: ProblemType = ProblemType {
    code: "upstream-invalid",
    status: ErrorStatus::new(502),
    title: "An upstream service returned an invalid response",
    origin: Origin::Dependency,
    retry: Retry::Never,
    advice: "Do not retry; report `request_id` and `trace_id`.",
    user_message: "One of our partners has a problem. Our team has been notified.",
    operator_hint: "The upstream service changed its contract, or a proxy answers in its place. The log line has the difference.",
};

/// An upstream service cannot be reached, or calls to it are suspended.
pub static UPSTREAM_UNAVAILABLE: ProblemType = ProblemType {
    code: "upstream-unavailable",
    status: ErrorStatus::new(503),
    title: "An upstream service is unavailable",
    origin: Origin::Dependency,
    retry: Retry::After,
    advice: "Wait for `Retry-After` and send the same request again.",
    user_message: "One of our partners is unavailable. Please try again shortly.",
    operator_hint: "See `dependency_breaker_state` and `/dependencies`: an open circuit breaker, a concurrency limit that is reached, or a service that asks to wait.",
};

/// A dependency cannot be reached.
pub static DEPENDENCY_UNAVAILABLE: ProblemType = ProblemType {
    code: "dependency-unavailable",
    status: ErrorStatus::new(503),
    title: "A dependency is unavailable",
    origin: Origin::Dependency,
    retry: Retry::After,
    advice: "Wait for `Retry-After`. With `\"outcome\": \"unknown\"` retry a write only with the same key.",
    user_message: "This is unavailable right now. Please try again shortly.",
    operator_hint: "See `/dependencies` on the management port, then check the database and the network in between. If only tokens are affected: the identity provider at `auth.jwks_url`, which is `identity_provider` in `dependency_request_duration_seconds`.",
};

/// The database accepts no writes.
pub static DATABASE_READ_ONLY: ProblemType = ProblemType {
    code: "database-read-only",
    status: ErrorStatus::new(503),
    title: "Changes are temporarily unavailable",
    origin: Origin::Dependency,
    retry: Retry::After,
    advice: "Reads still work. Wait for `Retry-After` before writing again.",
    user_message: "Changes are temporarily unavailable. Please try again shortly.",
    operator_hint: "A failover that left the service on a replica, or `default_transaction_read_only`. Check which server the address resolves to.",
};

/// The database has no free disk space.
pub static STORAGE_EXHAUSTED: ProblemType = ProblemType {
    code: "storage-exhausted",
    status: ErrorStatus::new(503),
    title: "Storage is exhausted",
    origin: Origin::Dependency,
    retry: Retry::After,
    advice: "Reads may still work. Wait for `Retry-After` before writing again.",
    user_message: "Saving is temporarily unavailable. Please try again later.",
    operator_hint: "The database's disk or tablespace is full. Free or add space; look for a replication slot that retains WAL.",
};

/// Too many concurrent changes to the same rows.
pub static CONTENTION: ProblemType = ProblemType {
    code: "contention",
    status: ErrorStatus::new(503),
    title: "Too many concurrent changes to the same resource",
    origin: Origin::Capacity,
    retry: Retry::After,
    advice: "Wait for `Retry-After` and send the same request again.",
    user_message: "Someone else is changing this right now. Please try again.",
    operator_hint: "Serialization failures, deadlocks or lock timeouts that outlasted the retries. Look for a long transaction in `pg_stat_activity`.",
};

/// The service is at its capacity.
pub static OVERLOADED: ProblemType = ProblemType {
    code: "overloaded",
    status: ErrorStatus::new(503),
    title: "The service is overloaded",
    origin: Origin::Capacity,
    retry: Retry::After,
    advice: "Wait for `Retry-After`; send fewer requests.",
    user_message: "The service is busy. Please try again in a moment.",
    operator_hint: "Requests in flight or database connections are at their limit. Check whether the database became slower before adding replicas.",
};

/// The process is shutting down.
pub static SHUTTING_DOWN: ProblemType = ProblemType {
    code: "shutting-down",
    status: ErrorStatus::new(503),
    title: "This instance is shutting down",
    origin: Origin::Capacity,
    retry: Retry::After,
    advice: "Open a new connection and send the request again.",
    user_message: "Please try again.",
    operator_hint: "A load balancer still sends to an instance that is no longer ready: its readiness interval is longer than `shutdown.deregistration_delay`.",
};

/// The deadline of the request passed.
pub static DEADLINE_EXCEEDED: ProblemType = ProblemType {
    code: "deadline-exceeded",
    status: ErrorStatus::new(504),
    title: "The deadline was exceeded",
    origin: Origin::Dependency,
    retry: Retry::SameKey,
    advice: "Retry reads; retry writes only with the same idempotency key. Allow more with `X-Request-Timeout-Ms` where it makes sense.",
    user_message: "This took too long. Please try again.",
    operator_hint: "Something was slow: the trace shows whether a statement or a lock in Postgres, or an upstream service.",
};

/// The client's own deadline, shorter than `http.short_deadline`, passed.
pub static CLIENT_DEADLINE_EXCEEDED: ProblemType = ProblemType {
    code: "client-deadline-exceeded",
    status: ErrorStatus::new(504),
    title: "The client's own deadline was exceeded",
    origin: Origin::Client,
    retry: Retry::SameKey,
    advice: "Allow more with `X-Request-Timeout-Ms`, or omit it. Retry reads; retry writes only with the same idempotency key.",
    user_message: "This took too long. Please try again.",
    operator_hint: "A client sent a deadline below `http.short_deadline`. Not counted as a failure of this service. If many requests are affected, compare the deadlines of the clients with the latency of the operation.",
};
