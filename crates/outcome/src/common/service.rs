//! Problems of the service and of what it needs: 5xx.

use crate::{Actor, ErrorStatus, ProblemType, Retry};

/// A bug or a panic, and nothing else.
pub static INTERNAL: ProblemType = ProblemType {
    code: "internal",
    status: ErrorStatus::new(500),
    title: "This is a bug in the service",
    actor: Actor::Bug,
    retry: Retry::Never,
    advice: "Report `request_id` and `trace_id`. Do not retry: the same request meets the same bug.",
    user_message: "Something went wrong on our side. Our team has been notified.",
    runbook: "Find the log line by `trace_id`: it has the cause or the backtrace. Roll back if it came with a release.",
};

/// Another service failed while it worked for us.
pub static UPSTREAM_ERROR: ProblemType = ProblemType {
    code: "upstream-error",
    status: ErrorStatus::new(502),
    title: "A service this one needs has failed",
    actor: Actor::Dependency,
    retry: Retry::SameKey,
    advice: "Wait for `Retry-After`. Retry reads; retry writes only with the same idempotency key.",
    user_message: "A partner of ours has a problem. Please try again shortly.",
    runbook: "See `dependency_request_duration_seconds` by outcome: `unauthorized` is our own credentials, `error` is the other side.",
};

/// Another service answered nonsense.
pub static UPSTREAM_INVALID: ProblemType = ProblemType {
    code: "upstream-invalid",
    status: ErrorStatus::new(502),
    title: "A service this one needs gave an answer that makes no sense",
    actor: Actor::Dependency,
    retry: Retry::Never,
    advice: "Do not retry; report `request_id` and `trace_id`.",
    user_message: "A partner of ours has a problem. Our team has been notified.",
    runbook: "The other side changed its contract, or something between answers in its place. The log line says what was wrong.",
};

/// Another service is not asked at the moment, or cannot be reached.
pub static UPSTREAM_UNAVAILABLE: ProblemType = ProblemType {
    code: "upstream-unavailable",
    status: ErrorStatus::new(503),
    title: "A service this one needs is unavailable",
    actor: Actor::Dependency,
    retry: Retry::After,
    advice: "Wait for `Retry-After` and send the same request again.",
    user_message: "A partner of ours is not available right now. Please try again shortly.",
    runbook: "Look at `dependency_breaker_state` and `/dependencies`: a breaker that is open, a full bulkhead, or a service that asks us to wait.",
};

/// Something the service needs cannot be reached.
pub static DEPENDENCY_UNAVAILABLE: ProblemType = ProblemType {
    code: "dependency-unavailable",
    status: ErrorStatus::new(503),
    title: "Something this service needs is unavailable",
    actor: Actor::Dependency,
    retry: Retry::After,
    advice: "Wait for `Retry-After`. With `\"outcome\": \"unknown\"` retry a write only with the same key.",
    user_message: "This is not available right now. Please try again shortly.",
    runbook: "Look at `/dependencies` on the management port, then at the database and the network between.",
};

/// The database accepts no writes.
pub static DATABASE_READ_ONLY: ProblemType = ProblemType {
    code: "database-read-only",
    status: ErrorStatus::new(503),
    title: "Changes are not possible right now",
    actor: Actor::Dependency,
    retry: Retry::After,
    advice: "Reads still work. Wait for `Retry-After` before writing again.",
    user_message: "You can look, but not change anything for the moment. Please try again shortly.",
    runbook: "A failover that left us on a replica, or an operator set `default_transaction_read_only`. Check which server the address leads to.",
};

/// The database has no space left.
pub static STORAGE_EXHAUSTED: ProblemType = ProblemType {
    code: "storage-exhausted",
    status: ErrorStatus::new(503),
    title: "There is no storage left",
    actor: Actor::Dependency,
    retry: Retry::After,
    advice: "Reads may still work. Wait for `Retry-After` before writing again.",
    user_message: "Nothing can be saved for the moment. Please try again later.",
    runbook: "The database's disk or tablespace is full. Free space or grow it; look for a replication slot that holds WAL.",
};

/// Too many want the same rows at the same time.
pub static CONTENTION: ProblemType = ProblemType {
    code: "contention",
    status: ErrorStatus::new(503),
    title: "Too many changes to the same thing at once",
    actor: Actor::Capacity,
    retry: Retry::After,
    advice: "Wait for `Retry-After` and send the same request again.",
    user_message: "Others are changing this right now. Please try again.",
    runbook: "Serialization failures, deadlocks or lock timeouts that outlasted the retries. Look for a long transaction in `pg_stat_activity`.",
};

/// There is more load than room for it.
pub static OVERLOADED: ProblemType = ProblemType {
    code: "overloaded",
    status: ErrorStatus::new(503),
    title: "There is more load than room for it",
    actor: Actor::Capacity,
    retry: Retry::After,
    advice: "Wait for `Retry-After`; slow down.",
    user_message: "There is a lot going on. Please try again in a moment.",
    runbook: "In-flight requests or the pool are at their limit. See whether the database got slower before adding replicas.",
};

/// This process is going away.
pub static SHUTTING_DOWN: ProblemType = ProblemType {
    code: "shutting-down",
    status: ErrorStatus::new(503),
    title: "This instance is shutting down",
    actor: Actor::Capacity,
    retry: Retry::After,
    advice: "Open a new connection and send the request again.",
    user_message: "Please try again.",
    runbook: "A balancer still sends to an instance that left: its readiness interval is longer than `shutdown.readiness_wait`.",
};

/// Our own deadline passed.
pub static DEADLINE_EXCEEDED: ProblemType = ProblemType {
    code: "deadline-exceeded",
    status: ErrorStatus::new(504),
    title: "The answer would have come too late",
    actor: Actor::Dependency,
    retry: Retry::SameKey,
    advice: "Retry reads; retry writes only with the same idempotency key. Allow more with `X-Request-Timeout-Ms` where it makes sense.",
    user_message: "This took too long. Please try again.",
    runbook: "Something was slow: the trace says whether a statement or a lock in Postgres, or another service.",
};
