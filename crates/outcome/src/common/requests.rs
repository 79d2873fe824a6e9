//! Problems of the request: 4xx.

use crate::{Actor, ErrorStatus, ProblemType, Retry};

/// The body is not JSON.
pub static MALFORMED_JSON: ProblemType = ProblemType {
    code: "malformed-json",
    status: ErrorStatus::new(400),
    title: "The body is not JSON",
    actor: Actor::Caller,
    retry: Retry::Never,
    advice: "Send a body that parses as JSON in UTF-8.",
    user_message: "Something went wrong on our side of the app. Please update it or contact support.",
    runbook: "A caller's fault. If one caller causes many, tell its owners; if all do, look at what changed in front of the service.",
};

/// The request breaks rules, listed in `errors`.
pub static INVALID_REQUEST: ProblemType = ProblemType {
    code: "invalid-request",
    status: ErrorStatus::new(400),
    title: "The request breaks rules",
    actor: Actor::Caller,
    retry: Retry::Never,
    advice: "Correct each field named in `errors` and send the request again.",
    user_message: "Please check what you entered.",
    runbook: "A caller's fault. A rise right after a release means that a rule became stricter than its callers expect.",
};

/// A query parameter is wrong.
pub static INVALID_QUERY: ProblemType = ProblemType {
    code: "invalid-query",
    status: ErrorStatus::new(400),
    title: "The query is invalid",
    actor: Actor::Caller,
    retry: Retry::Never,
    advice: "Correct the query parameters named in `errors`.",
    user_message: "This list cannot be shown like that.",
    runbook: "A caller's fault, as with invalid-request.",
};

/// A path segment is wrong.
pub static INVALID_PATH: ProblemType = ProblemType {
    code: "invalid-path",
    status: ErrorStatus::new(400),
    title: "The path is invalid",
    actor: Actor::Caller,
    retry: Retry::Never,
    advice: "Use the identifiers exactly as this service gave them out.",
    user_message: "This link is not valid.",
    runbook: "A caller's fault. Many of them from one caller are often a link built by hand.",
};

/// A write came without its idempotency key.
pub static IDEMPOTENCY_KEY_MISSING: ProblemType = ProblemType {
    code: "idempotency-key-missing",
    status: ErrorStatus::new(400),
    title: "The Idempotency-Key header is missing",
    actor: Actor::Caller,
    retry: Retry::Never,
    advice: "Send an `Idempotency-Key` header: a fresh UUID per intended effect, the same one on every retry.",
    user_message: "Something went wrong on our side of the app. Please update it or contact support.",
    runbook: "A caller's fault: it cannot retry safely without a key.",
};

/// No valid bearer token.
pub static UNAUTHENTICATED: ProblemType = ProblemType {
    code: "unauthenticated",
    status: ErrorStatus::new(401),
    title: "A valid token is needed",
    actor: Actor::Caller,
    retry: Retry::Never,
    advice: "Send `Authorization: Bearer <token>` with a token that is signed for this service and has not expired.",
    user_message: "Please sign in again.",
    runbook: "If all callers get it at once: the signing key was rotated, the clock is off, or issuer and audience changed.",
};

/// The token lacks a scope.
pub static FORBIDDEN: ProblemType = ProblemType {
    code: "forbidden",
    status: ErrorStatus::new(403),
    title: "The token does not allow this",
    actor: Actor::Caller,
    retry: Retry::Never,
    advice: "Ask for a token with the scope this operation lists in the contract.",
    user_message: "You are not allowed to do this.",
    runbook: "A caller's fault, unless scopes were changed at the identity provider.",
};

/// No such address.
pub static ROUTE_NOT_FOUND: ProblemType = ProblemType {
    code: "route-not-found",
    status: ErrorStatus::new(404),
    title: "There is nothing at this address",
    actor: Actor::Caller,
    retry: Retry::Never,
    advice: "Compare the path with the contract at `/openapi.json`.",
    user_message: "This page does not exist.",
    runbook: "A caller's fault. Many after a release: a route was removed that is still in use.",
};

/// The address exists, the method does not.
pub static METHOD_NOT_ALLOWED: ProblemType = ProblemType {
    code: "method-not-allowed",
    status: ErrorStatus::new(405),
    title: "This address has other methods",
    actor: Actor::Caller,
    retry: Retry::Never,
    advice: "Use one of the methods in the `Allow` header.",
    user_message: "This action does not exist.",
    runbook: "A caller's fault.",
};

/// The caller was too slow to send its body.
pub static REQUEST_TIMEOUT: ProblemType = ProblemType {
    code: "request-timeout",
    status: ErrorStatus::new(408),
    title: "The body did not arrive in time",
    actor: Actor::Caller,
    retry: Retry::SameKey,
    advice: "Send the whole body at once; retry on a better connection.",
    user_message: "The connection was too slow. Please try again.",
    runbook: "Slow clients or a slow proxy. Many from one address can be an attack; the connections are closed by themselves.",
};

/// The first call with this key is still running.
pub static IDEMPOTENCY_IN_PROGRESS: ProblemType = ProblemType {
    code: "idempotency-in-progress",
    status: ErrorStatus::new(409),
    title: "The first call with this key is still running",
    actor: Actor::Caller,
    retry: Retry::SameKey,
    advice: "Wait for `Retry-After` and send the same request with the same key to read its result.",
    user_message: "This is being worked on. One moment, please.",
    runbook: "A caller that retries faster than it waits. Harmless: there is one effect.",
};

/// The body is larger than allowed.
pub static CONTENT_TOO_LARGE: ProblemType = ProblemType {
    code: "content-too-large",
    status: ErrorStatus::new(413),
    title: "The body is too large",
    actor: Actor::Caller,
    retry: Retry::Never,
    advice: "Send less at once.",
    user_message: "This is too much at once.",
    runbook: "A caller's fault. The limit is `http.max_body_bytes`.",
};

/// The body is not declared as JSON.
pub static UNSUPPORTED_MEDIA_TYPE: ProblemType = ProblemType {
    code: "unsupported-media-type",
    status: ErrorStatus::new(415),
    title: "The body has the wrong media type",
    actor: Actor::Caller,
    retry: Retry::Never,
    advice: "Send JSON with `Content-Type: application/json`.",
    user_message: "Something went wrong on our side of the app. Please update it or contact support.",
    runbook: "A caller's fault.",
};

/// The key was used before for a different request.
pub static IDEMPOTENCY_KEY_REUSED: ProblemType = ProblemType {
    code: "idempotency-key-reused",
    status: ErrorStatus::new(422),
    title: "This key was used for another request",
    actor: Actor::Caller,
    retry: Retry::Never,
    advice: "Use a fresh key for each intended effect; repeat a key only with the identical request.",
    user_message: "This was already sent with other content.",
    runbook: "A bug in the caller: it makes its keys from something that repeats.",
};

/// The caller's quota is used up.
pub static QUOTA_EXCEEDED: ProblemType = ProblemType {
    code: "quota-exceeded",
    status: ErrorStatus::new(429),
    title: "Too many requests",
    actor: Actor::Caller,
    retry: Retry::After,
    advice: "Wait for `Retry-After`; `RateLimit` shows what is left before the quota is used up.",
    user_message: "That was a bit fast. Please try again in a moment.",
    runbook: "One subject or address is above `rate_limit`. Raise its quota only after asking what it does.",
};

/// The head is larger than we accept.
pub static HEAD_TOO_LARGE: ProblemType = ProblemType {
    code: "head-too-large",
    status: ErrorStatus::new(431),
    title: "The request head is too large",
    actor: Actor::Caller,
    retry: Retry::Never,
    advice: "Send fewer or shorter headers, cookies above all.",
    user_message: "Please clear your cookies and try again.",
    runbook: "A caller's fault, or a proxy that adds headers in a loop. The limit is `http.max_head_bytes`.",
};
