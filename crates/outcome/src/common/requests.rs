//! Problems of the request: 4xx.

use crate::{ErrorStatus, Origin, ProblemType, Retry};

/// The body is not valid JSON.
pub static MALFORMED_JSON: ProblemType = ProblemType {
    code: "malformed-json",
    status: ErrorStatus::new(400),
    title: "The body is not valid JSON",
    origin: Origin::Client,
    retry: Retry::Never,
    advice: "Send a body that parses as JSON in UTF-8.",
    user_message: "Something is wrong with this app. Please update it or contact support.",
    operator_hint: "A client error. If one client causes many, contact its owners; if all do, check what changed in front of the service.",
};

/// The request failed validation; `errors` lists each field.
pub static INVALID_REQUEST: ProblemType = ProblemType {
    code: "invalid-request",
    status: ErrorStatus::new(400),
    title: "The request is invalid",
    origin: Origin::Client,
    retry: Retry::Never,
    advice: "Correct each field named in `errors` and send the request again.",
    user_message: "Please check your input.",
    operator_hint: "A client error. A rise right after a release means that validation became stricter than clients expect.",
};

/// A query parameter failed validation.
pub static INVALID_QUERY: ProblemType = ProblemType {
    code: "invalid-query",
    status: ErrorStatus::new(400),
    title: "The query is invalid",
    origin: Origin::Client,
    retry: Retry::Never,
    advice: "Correct the query parameters named in `errors`.",
    user_message: "This list cannot be displayed with these settings.",
    operator_hint: "A client error, as with invalid-request.",
};

/// A path parameter failed validation.
pub static INVALID_PATH: ProblemType = ProblemType {
    code: "invalid-path",
    status: ErrorStatus::new(400),
    title: "The path is invalid",
    origin: Origin::Client,
    retry: Retry::Never,
    advice: "Use identifiers exactly as this service returned them.",
    user_message: "This link is not valid.",
    operator_hint: "A client error. Many from one client often mean a link built by hand.",
};

/// A write without its idempotency key.
pub static IDEMPOTENCY_KEY_MISSING: ProblemType = ProblemType {
    code: "idempotency-key-missing",
    status: ErrorStatus::new(400),
    title: "The Idempotency-Key header is missing",
    origin: Origin::Client,
    retry: Retry::Never,
    advice: "Send an `Idempotency-Key` header: a new UUID for each intended effect, the same one on every retry.",
    user_message: "Something is wrong with this app. Please update it or contact support.",
    operator_hint: "A client error: without a key the client cannot retry safely.",
};

/// No valid bearer token.
pub static UNAUTHENTICATED: ProblemType = ProblemType {
    code: "unauthenticated",
    status: ErrorStatus::new(401),
    title: "A valid bearer token is required",
    origin: Origin::Client,
    retry: Retry::Never,
    advice: "Send `Authorization: Bearer <token>` with a token that is signed for this service and has not expired.",
    user_message: "Please sign in again.",
    operator_hint: "If all callers get it at the same time: the signing key was rotated, a clock is wrong, or issuer or audience changed.",
};

/// The token lacks the scope of the operation.
pub static FORBIDDEN: ProblemType = ProblemType {
    code: "forbidden",
    status: ErrorStatus::new(403),
    title: "The token lacks a required scope",
    origin: Origin::Client,
    retry: Retry::Never,
    advice: "Request a token with the scope that the contract lists for this operation.",
    user_message: "You do not have permission to do this.",
    operator_hint: "A client error, unless scopes were changed at the identity provider.",
};

/// No route matches the path.
pub static ROUTE_NOT_FOUND: ProblemType = ProblemType {
    code: "route-not-found",
    status: ErrorStatus::new(404),
    title: "Route not found",
    origin: Origin::Client,
    retry: Retry::Never,
    advice: "Compare the path with the contract at `/openapi.json`.",
    user_message: "This page does not exist.",
    operator_hint: "A client error. Many after a release: a route was removed that is still in use.",
};

/// The path exists, but not with this method.
pub static METHOD_NOT_ALLOWED: ProblemType = ProblemType {
    code: "method-not-allowed",
    status: ErrorStatus::new(405),
    title: "Method not allowed",
    origin: Origin::Client,
    retry: Retry::Never,
    advice: "Use one of the methods in the `Allow` header.",
    user_message: "This action is not available.",
    operator_hint: "A client error.",
};

/// The body did not arrive in time.
pub static REQUEST_TIMEOUT: ProblemType = ProblemType {
    code: "request-timeout",
    status: ErrorStatus::new(408),
    title: "The request body did not arrive in time",
    origin: Origin::Client,
    retry: Retry::SameKey,
    advice: "Send the whole body without pauses; retry on a faster connection.",
    user_message: "The connection was too slow. Please try again.",
    operator_hint: "Slow clients or a slow proxy. Many from one address can be an attack; their connections are closed automatically.",
};

/// The first request with this key is still running.
pub static IDEMPOTENCY_IN_PROGRESS: ProblemType = ProblemType {
    code: "idempotency-in-progress",
    status: ErrorStatus::new(409),
    title: "A request with this idempotency key is in progress",
    origin: Origin::Client,
    retry: Retry::SameKey,
    advice: "Wait for `Retry-After` and send the same request with the same key to read its result.",
    user_message: "Your request is being processed. Please wait a moment.",
    operator_hint: "A client that retries before `Retry-After`. Harmless: there is one effect.",
};

/// The body exceeds the limit.
pub static CONTENT_TOO_LARGE: ProblemType = ProblemType {
    code: "content-too-large",
    status: ErrorStatus::new(413),
    title: "The request body is too large",
    origin: Origin::Client,
    retry: Retry::Never,
    advice: "Send a smaller body.",
    user_message: "Your request is too large.",
    operator_hint: "A client error. The limit is `http.max_body_bytes`.",
};

/// The body is not declared as JSON.
pub static UNSUPPORTED_MEDIA_TYPE: ProblemType = ProblemType {
    code: "unsupported-media-type",
    status: ErrorStatus::new(415),
    title: "Unsupported media type",
    origin: Origin::Client,
    retry: Retry::Never,
    advice: "Send JSON with `Content-Type: application/json`.",
    user_message: "Something is wrong with this app. Please update it or contact support.",
    operator_hint: "A client error.",
};

/// The key belongs to a different request.
pub static IDEMPOTENCY_KEY_REUSED: ProblemType = ProblemType {
    code: "idempotency-key-reused",
    status: ErrorStatus::new(422),
    title: "The idempotency key was used for a different request",
    origin: Origin::Client,
    retry: Retry::Never,
    advice: "Use a new key for each intended effect; repeat a key only with the identical request.",
    user_message: "This was already submitted with different content.",
    operator_hint: "A bug in the client: it derives keys from something that repeats.",
};

/// The caller's quota is exhausted.
pub static QUOTA_EXCEEDED: ProblemType = ProblemType {
    code: "quota-exceeded",
    status: ErrorStatus::new(429),
    title: "Too many requests",
    origin: Origin::Client,
    retry: Retry::After,
    advice: "Wait for `Retry-After`; `RateLimit` shows how much of the quota remains.",
    user_message: "Too many requests. Please wait a moment and try again.",
    operator_hint: "One subject or address exceeds `rate_limit`. Ask what it does before raising its quota.",
};

/// The request line and headers exceed the limit.
pub static HEAD_TOO_LARGE: ProblemType = ProblemType {
    code: "head-too-large",
    status: ErrorStatus::new(431),
    title: "The request headers are too large",
    origin: Origin::Client,
    retry: Retry::Never,
    advice: "Send fewer or shorter headers, cookies above all.",
    user_message: "Please clear your cookies and try again.",
    operator_hint: "A client error, or a proxy that adds headers in a loop. The limit is `http.max_head_bytes`.",
};
