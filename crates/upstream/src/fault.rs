//! Every way in which a call to another service can fail us.

use std::time::Duration;

use macros::Refusal;
use outcome::{Cause, common};

/// Why another service gave no result. What it said goes to the log, never to our caller.
#[derive(Debug, Refusal)]
pub enum UpstreamFault {
    /// 503: it failed too often, and is not asked for a while.
    #[problem(
        common::UPSTREAM_UNAVAILABLE,
        "a service this one needs has failed too often and is left alone for a moment"
    )]
    Open,
    /// 503: as many calls as allowed are in flight.
    #[problem(
        common::UPSTREAM_UNAVAILABLE,
        "too many calls to a service this one needs are in flight"
    )]
    Saturated,
    /// 503: no connection.
    #[problem(common::UPSTREAM_UNAVAILABLE, "a service this one needs cannot be reached")]
    Unreachable(Cause),
    /// 503: it asks us to wait, and so do we.
    #[problem(common::UPSTREAM_UNAVAILABLE, "a service this one needs asks to wait")]
    Throttled(Duration),
    /// 502: it answered with a 5xx, or broke off.
    #[problem(common::UPSTREAM_ERROR, "a service this one needs has failed")]
    Failed(Cause),
    /// 502: it returned a 4xx that the call does not declare as a refusal: a wrong address, or a wrong request of ours.
    #[problem(common::UPSTREAM_ERROR, "a service this one needs has failed")]
    Rejected(Cause),
    /// 502: it does not accept our credentials (401, 403): our fault, and an alert.
    #[problem(common::UPSTREAM_ERROR, "a service this one needs has failed")]
    Unauthorized(Cause),
    /// 502: not JSON, not the promised shape, too large, or a redirect.
    #[problem(
        common::UPSTREAM_INVALID,
        "a service this one needs gave an answer that makes no sense"
    )]
    Invalid(Cause),
    /// 504: no answer within the attempt's time or the request's deadline.
    #[problem(common::DEADLINE_EXCEEDED, "a service this one needs did not answer in time")]
    TimedOut,
}

impl UpstreamFault {
    /// Why trying again may help, if it may.
    pub(super) fn transient(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable(_) => Some("connection"),
            Self::Failed(_) => Some("error"),
            Self::TimedOut => Some("timeout"),
            Self::Open
            | Self::Saturated
            | Self::Throttled(_)
            | Self::Rejected(_)
            | Self::Unauthorized(_)
            | Self::Invalid(_) => None,
        }
    }

    /// The metric's word for it.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Open => "skipped",
            Self::Saturated => "saturated",
            Self::Unreachable(_) => "unreachable",
            Self::Throttled(_) => "throttled",
            Self::Failed(_) => "error",
            Self::Rejected(_) => "rejected",
            Self::Unauthorized(_) => "unauthorized",
            Self::Invalid(_) => "invalid",
            Self::TimedOut => "timeout",
        }
    }
}
