//! Problem types that belong to no single service.

mod requests;
mod service;

pub use requests::*;
pub use service::*;

use crate::ProblemType;

/// All of them, in the order of the documents.
pub const ALL: &[&ProblemType] = &[
    &MALFORMED_JSON,
    &INVALID_REQUEST,
    &INVALID_QUERY,
    &INVALID_PATH,
    &IDEMPOTENCY_KEY_MISSING,
    &UNAUTHENTICATED,
    &FORBIDDEN,
    &ROUTE_NOT_FOUND,
    &METHOD_NOT_ALLOWED,
    &REQUEST_TIMEOUT,
    &IDEMPOTENCY_IN_PROGRESS,
    &CONTENT_TOO_LARGE,
    &UNSUPPORTED_MEDIA_TYPE,
    &IDEMPOTENCY_KEY_REUSED,
    &QUOTA_EXCEEDED,
    &HEAD_TOO_LARGE,
    &INTERNAL,
    &UPSTREAM_ERROR,
    &UPSTREAM_INVALID,
    &UPSTREAM_UNAVAILABLE,
    &DEPENDENCY_UNAVAILABLE,
    &DATABASE_READ_ONLY,
    &STORAGE_EXHAUSTED,
    &CONTENTION,
    &OVERLOADED,
    &SHUTTING_DOWN,
    &DEADLINE_EXCEEDED,
    &CLIENT_DEADLINE_EXCEEDED,
];
