//! Errors of calls to other services.

use std::time::Duration;

use macros::Refusal;
use outcome::{Cause, common};
use resilience::Transient;

/// Why a call to an upstream service failed. The cause goes to the log, never to our client.
#[derive(Debug, Refusal)]
pub enum UpstreamError {
    /// 503: the circuit breaker is open after repeated failures, so the call was not sent. The next one can be sent
    /// after this time.
    #[problem(
        common::UPSTREAM_UNAVAILABLE,
        "calls to an upstream service are suspended after repeated failures"
    )]
    Open(Duration),
    /// 503: the maximum number of calls is in flight.
    #[problem(
        common::UPSTREAM_UNAVAILABLE,
        "too many calls to an upstream service are in flight"
    )]
    Saturated,
    /// 503: no connection could be established.
    #[problem(common::UPSTREAM_UNAVAILABLE, "an upstream service cannot be reached")]
    Unreachable(Cause),
    /// 503: the upstream service asks us to wait, and we ask our client to do the same.
    #[problem(common::UPSTREAM_UNAVAILABLE, "an upstream service asks to wait")]
    Throttled(Duration),
    /// 503: an earlier call for the same effect is still running. The call can be repeated after this time.
    #[problem(
        common::UPSTREAM_UNAVAILABLE,
        "an upstream service is still processing an earlier call"
    )]
    InProgress(Duration),
    /// 503: the upstream service failed and said when to try again (5xx with `Retry-After`).
    #[problem(common::UPSTREAM_UNAVAILABLE, "an upstream service failed and asks to wait")]
    FailedUntil(Duration),
    /// 502: the upstream service returned a 5xx or 408, or the connection was lost.
    #[problem(common::UPSTREAM_ERROR, "an upstream service failed")]
    Failed(Cause),
    /// 502: the upstream service returned a 4xx that the call does not declare as a refusal. Our address for the
    /// service or our request is wrong.
    #[problem(common::UPSTREAM_ERROR, "an upstream service failed")]
    Rejected(Cause),
    /// 502: the upstream service rejects our credentials (401, 403). The error is ours and raises an alert.
    #[problem(common::UPSTREAM_ERROR, "an upstream service failed")]
    Unauthorized(Cause),
    /// 502: the response is not JSON, has the wrong shape, does not match the request, is too large or is a redirect.
    #[problem(common::UPSTREAM_INVALID, "an upstream service returned an invalid response")]
    Invalid(Cause),
    /// 504: no response within the timeout of the attempt or the deadline of the request.
    #[problem(common::DEADLINE_EXCEEDED, "an upstream service did not respond in time")]
    TimedOut,
}

impl UpstreamError {
    /// The reason to retry and the wait before it; `None` if the error is not transient.
    pub(super) fn transient(&self) -> Option<Transient> {
        match self {
            Self::Unreachable(_) => Some("connection".into()),
            Self::Failed(_) => Some("error".into()),
            Self::TimedOut => Some("timeout".into()),
            // A wait past the deadline is not for us, but for our client.
            Self::FailedUntil(wait) => Some(Transient {
                reason: "error",
                retry_after: *wait,
            }),
            Self::Open(_)
            | Self::Saturated
            | Self::Throttled(_)
            | Self::InProgress(_)
            | Self::Rejected(_)
            | Self::Unauthorized(_)
            | Self::Invalid(_) => None,
        }
    }

    /// The outcome of the attempt, as a metric label.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Open(_) => "skipped",
            Self::Saturated => "saturated",
            Self::Unreachable(_) => "unreachable",
            Self::Throttled(_) | Self::InProgress(_) => "throttled",
            Self::Failed(_) | Self::FailedUntil(_) => "error",
            Self::Rejected(_) => "rejected",
            Self::Unauthorized(_) => "unauthorized",
            Self::Invalid(_) => "invalid",
            Self::TimedOut => "timeout",
        }
    }
}
