//! The rows every service needs, and the catalogue as a whole.

use crate::ProblemType;

/// All problem types of a service: the common rows and its own.
#[derive(Clone, Copy, Debug)]
pub struct Catalogue(&'static [&'static [&'static ProblemType]]);

impl Catalogue {
    /// Joins tables of rows. Two rows with one code are a programming error that a test finds.
    pub const fn new(tables: &'static [&'static [&'static ProblemType]]) -> Self {
        Self(tables)
    }

    /// Every row, in the order of declaration.
    pub fn iter(&self) -> impl Iterator<Item = &'static ProblemType> + use<> {
        self.0.iter().flat_map(|table| table.iter().copied())
    }

    /// The row with this code.
    pub fn find(&self, code: &str) -> Option<&'static ProblemType> {
        self.iter().find(|row| row.code == code)
    }
}

/// Rows that belong to no single service.
pub mod common {
    crate::problem_types! {
        /// The body is not JSON.
        MALFORMED_JSON: 400 "malformed-json" {
            title: "The body is not JSON", actor: Caller, retry: Never,
            advice: "Send a body that parses as JSON in UTF-8.",
            user_message: "Something went wrong on our side of the app. Please update it or contact support.",
            runbook: "A caller's fault. If one caller causes many, tell its owners; if all do, look at what changed in front of the service.",
        }
        /// The request breaks rules, listed in `errors`.
        INVALID_REQUEST: 400 "invalid-request" {
            title: "The request breaks rules", actor: Caller, retry: Never,
            advice: "Correct each place named in `errors` and send the request anew.",
            user_message: "Please check what you entered.",
            runbook: "A caller's fault. A rise right after a release means that a rule became stricter than its callers expect.",
        }
        /// A query parameter is wrong.
        INVALID_QUERY: 400 "invalid-query" {
            title: "The query is invalid", actor: Caller, retry: Never,
            advice: "Correct the query parameters named in `errors`.",
            user_message: "This list cannot be shown like that.",
            runbook: "A caller's fault, as with invalid-request.",
        }
        /// A path segment is wrong.
        INVALID_PATH: 400 "invalid-path" {
            title: "The path is invalid", actor: Caller, retry: Never,
            advice: "Use the identifiers exactly as this service gave them out.",
            user_message: "This link is not valid.",
            runbook: "A caller's fault. Many of them from one caller are often a link built by hand.",
        }
        /// A write came without its idempotency key.
        IDEMPOTENCY_KEY_MISSING: 400 "idempotency-key-missing" {
            title: "The Idempotency-Key header is missing", actor: Caller, retry: Never,
            advice: "Send an `Idempotency-Key` header: a fresh UUID per intended effect, the same one on every retry.",
            user_message: "Something went wrong on our side of the app. Please update it or contact support.",
            runbook: "A caller's fault: it cannot retry safely without a key.",
        }
        /// No valid bearer token.
        UNAUTHENTICATED: 401 "unauthenticated" {
            title: "A valid token is needed", actor: Caller, retry: Never,
            advice: "Send `Authorization: Bearer <token>` with a token that is signed for this service and has not expired.",
            user_message: "Please sign in again.",
            runbook: "If all callers get it at once: the signing key was rotated, the clock is off, or issuer and audience changed.",
        }
        /// The token lacks a scope.
        FORBIDDEN: 403 "forbidden" {
            title: "The token does not allow this", actor: Caller, retry: Never,
            advice: "Ask for a token with the scope this operation lists in the contract.",
            user_message: "You are not allowed to do this.",
            runbook: "A caller's fault, unless scopes were changed at the identity provider.",
        }
        /// No such address.
        ROUTE_NOT_FOUND: 404 "route-not-found" {
            title: "There is nothing at this address", actor: Caller, retry: Never,
            advice: "Compare the path with the contract at `/openapi.json`.",
            user_message: "This page does not exist.",
            runbook: "A caller's fault. Many after a release: a route was removed that is still in use.",
        }
        /// The address exists, the method does not.
        METHOD_NOT_ALLOWED: 405 "method-not-allowed" {
            title: "This address has other methods", actor: Caller, retry: Never,
            advice: "Use one of the methods in the `Allow` header.",
            user_message: "This action does not exist.",
            runbook: "A caller's fault.",
        }
        /// The caller was too slow to send its body.
        REQUEST_TIMEOUT: 408 "request-timeout" {
            title: "The body did not arrive in time", actor: Caller, retry: SameKey,
            advice: "Send the whole body at once; retry on a better connection.",
            user_message: "The connection was too slow. Please try again.",
            runbook: "Slow clients or a slow proxy. Many from one address can be an attack; the connections are closed by themselves.",
        }
        /// The first call with this key is still running.
        IDEMPOTENCY_IN_PROGRESS: 409 "idempotency-in-progress" {
            title: "The first call with this key is still running", actor: Caller, retry: SameKey,
            advice: "Wait for `Retry-After` and send the same request with the same key to read its result.",
            user_message: "This is being worked on. One moment, please.",
            runbook: "A caller that retries faster than it waits. Harmless: there is one effect.",
        }
        /// The body is larger than allowed.
        CONTENT_TOO_LARGE: 413 "content-too-large" {
            title: "The body is too large", actor: Caller, retry: Never,
            advice: "Send less at once.",
            user_message: "This is too much at once.",
            runbook: "A caller's fault. The limit is `http.max_body_bytes`.",
        }
        /// The body is not declared as JSON.
        UNSUPPORTED_MEDIA_TYPE: 415 "unsupported-media-type" {
            title: "The body has the wrong media type", actor: Caller, retry: Never,
            advice: "Send JSON with `Content-Type: application/json`.",
            user_message: "Something went wrong on our side of the app. Please update it or contact support.",
            runbook: "A caller's fault.",
        }
        /// The key was used before with another body.
        IDEMPOTENCY_KEY_REUSED: 422 "idempotency-key-reused" {
            title: "This key was used for another request", actor: Caller, retry: Never,
            advice: "Use a fresh key for each intended effect; repeat a key only with the identical request.",
            user_message: "This was already sent with other content.",
            runbook: "A bug in the caller: it makes its keys from something that repeats.",
        }
        /// The caller's quota is used up.
        QUOTA_EXCEEDED: 429 "quota-exceeded" {
            title: "Too many requests", actor: Caller, retry: After,
            advice: "Wait for `Retry-After`; `RateLimit` tells what is left before it comes to this.",
            user_message: "That was a bit fast. Please try again in a moment.",
            runbook: "One subject or address is above `rate_limit`. Raise its quota only after asking what it does.",
        }
        /// The head is larger than we accept.
        HEAD_TOO_LARGE: 431 "head-too-large" {
            title: "The request head is too large", actor: Caller, retry: Never,
            advice: "Send fewer or shorter headers, cookies above all.",
            user_message: "Please clear your cookies and try again.",
            runbook: "A caller's fault, or a proxy that adds headers in a loop. The limit is `http.max_head_bytes`.",
        }
        /// A bug or a panic, and nothing else.
        INTERNAL: 500 "internal" {
            title: "This is a bug in the service", actor: Bug, retry: Never,
            advice: "Report `request_id` and `trace_id`. Do not retry: the same request meets the same bug.",
            user_message: "Something went wrong on our side. We have been told.",
            runbook: "Find the log line by `trace_id`: it has the cause or the backtrace. Roll back if it came with a release.",
        }
        /// Another service failed while it worked for us.
        UPSTREAM_ERROR: 502 "upstream-error" {
            title: "A service this one needs has failed", actor: Dependency, retry: SameKey,
            advice: "Wait for `Retry-After`. Retry reads; retry writes only with the same idempotency key.",
            user_message: "A partner of ours has a problem. Please try again shortly.",
            runbook: "See `dependency_request_duration_seconds` by outcome: `unauthorized` is our own credentials, `error` is the other side.",
        }
        /// Another service answered nonsense.
        UPSTREAM_INVALID: 502 "upstream-invalid" {
            title: "A service this one needs gave an answer that makes no sense", actor: Dependency, retry: Never,
            advice: "Do not retry; report `request_id` and `trace_id`.",
            user_message: "A partner of ours has a problem. We have been told.",
            runbook: "The other side changed its contract, or something between answers in its place. The log line says what was wrong.",
        }
        /// Another service is not asked at the moment, or cannot be reached.
        UPSTREAM_UNAVAILABLE: 503 "upstream-unavailable" {
            title: "A service this one needs is unavailable", actor: Dependency, retry: After,
            advice: "Wait for `Retry-After` and send the same request again.",
            user_message: "A partner of ours is not available right now. Please try again shortly.",
            runbook: "Look at `dependency_breaker_state` and `/dependencies`: a breaker that is open, a full bulkhead, or a service that asks us to wait.",
        }
        /// Something the service needs cannot be reached.
        DEPENDENCY_UNAVAILABLE: 503 "dependency-unavailable" {
            title: "Something this service needs is unavailable", actor: Dependency, retry: After,
            advice: "Wait for `Retry-After`. With `\"outcome\": \"unknown\"` retry a write only with the same key.",
            user_message: "This is not available right now. Please try again shortly.",
            runbook: "Look at `/dependencies` on the management port, then at the database and the network between.",
        }
        /// The database accepts no writes.
        DATABASE_READ_ONLY: 503 "database-read-only" {
            title: "Changes are not possible right now", actor: Dependency, retry: After,
            advice: "Reads still work. Wait for `Retry-After` before writing again.",
            user_message: "You can look, but not change anything for the moment. Please try again shortly.",
            runbook: "A failover that left us on a replica, or an operator set `default_transaction_read_only`. Check which server the address leads to.",
        }
        /// The database has no space left.
        STORAGE_EXHAUSTED: 503 "storage-exhausted" {
            title: "There is no storage left", actor: Dependency, retry: After,
            advice: "Reads may still work. Wait for `Retry-After` before writing again.",
            user_message: "Nothing can be saved for the moment. Please try again later.",
            runbook: "The database's disk or tablespace is full. Free space or grow it; look for a replication slot that holds WAL.",
        }
        /// Too many want the same rows at the same time.
        CONTENTION: 503 "contention" {
            title: "Too many changes to the same thing at once", actor: Capacity, retry: After,
            advice: "Wait for `Retry-After` and send the same request again.",
            user_message: "Others are changing this right now. Please try again.",
            runbook: "Serialization failures, deadlocks or lock timeouts that outlasted the retries. Look for a long transaction in `pg_stat_activity`.",
        }
        /// There is more load than room for it.
        OVERLOADED: 503 "overloaded" {
            title: "There is more load than room for it", actor: Capacity, retry: After,
            advice: "Wait for `Retry-After`; slow down.",
            user_message: "There is a lot going on. Please try again in a moment.",
            runbook: "In-flight requests or the pool are at their limit. See whether the database got slower before adding replicas.",
        }
        /// This process is going away.
        SHUTTING_DOWN: 503 "shutting-down" {
            title: "This instance is shutting down", actor: Capacity, retry: After,
            advice: "Open a new connection and send the request again.",
            user_message: "Please try again.",
            runbook: "A balancer still sends to an instance that left: its readiness interval is longer than `shutdown.readiness_wait`.",
        }
        /// Our own deadline passed.
        DEADLINE_EXCEEDED: 504 "deadline-exceeded" {
            title: "The answer would have come too late", actor: Dependency, retry: SameKey,
            advice: "Retry reads; retry writes only with the same idempotency key. Allow more with `X-Request-Timeout-Ms` where it makes sense.",
            user_message: "This took too long. Please try again.",
            runbook: "Something was slow: the trace says whether a statement or a lock in Postgres, or another service.",
        }
    }
}
