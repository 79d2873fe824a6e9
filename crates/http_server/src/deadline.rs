//! The request's deadline: how the client chooses it, and the backstop that enforces it.

use std::{pin::pin, time::Duration};

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::HeaderMap,
    middleware::Next,
};
use macros::Refusal;
use outcome::{FieldError, Location, common};
use runtime::TimeLimit;

use crate::{RequestExt, Settings, refuse};

/// The header with the client's timeout, in milliseconds.
const REQUEST_TIMEOUT: &str = "x-request-timeout-ms";

/// The layers below enforce the deadline themselves and report the reason. The backstop ends the requests that are
/// still running this long after the deadline.
const BACKSTOP_DELAY: Duration = Duration::from_millis(50);

/// The ways the deadline can refuse a request.
#[derive(Debug, Refusal)]
pub(crate) enum DeadlineRefusal {
    /// 400: the client's timeout is not a whole number of milliseconds.
    #[problem(common::INVALID_REQUEST, "a header failed validation")]
    InvalidTimeout(FieldError),
    /// 504: the deadline has passed.
    #[problem(common::DEADLINE_EXCEEDED, "the response was not ready in time")]
    Exceeded,
    /// 504: the client's own short deadline has passed. The outermost layer replaces every
    /// `deadline-exceeded` with it.
    #[problem(common::CLIENT_DEADLINE_EXCEEDED, "the response was not ready in time")]
    ExceededByClient,
}

/// The time a request may take: the client's timeout, clamped to the configured range, or the default.
pub(super) fn time_limit(headers: &HeaderMap, settings: &Settings) -> TimeLimit {
    let requested = requested(headers).ok().flatten();
    let requested = requested.map(|timeout| timeout.clamp(settings.min_deadline, settings.max_deadline));
    let duration = requested.unwrap_or(settings.deadline);
    TimeLimit {
        duration,
        is_short: duration < settings.deadline.min(settings.short_deadline),
    }
}

fn requested(headers: &HeaderMap) -> Result<Option<Duration>, DeadlineRefusal> {
    let Some(value) = headers.get(REQUEST_TIMEOUT) else {
        return Ok(None);
    };
    let milliseconds = value
        .to_str()
        .ok()
        .and_then(|text| text.parse::<u32>().ok())
        .filter(|value| *value > 0);
    milliseconds
        .map(|value| Some(Duration::from_millis(value.into())))
        .ok_or_else(|| {
            DeadlineRefusal::InvalidTimeout(FieldError::new(
                Location::Header("X-Request-Timeout-Ms"),
                "type",
                "must be a whole number of milliseconds, at least 1",
            ))
        })
}

/// Ends a request with 504 if it is still running after its deadline.
pub(super) async fn deadline(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    requested(request.headers()).map_err(refuse)?;
    let context = request.context();
    let mut served = pin!(next.call(request));
    loop {
        let due = context.deadline().instant() + BACKSTOP_DELAY;
        tokio::select! {
            // A response that is ready is sent, however late this thread got to it: the work is done.
            biased;
            result = &mut served => return result,
            // Later while the body is arriving, earlier again once it has arrived.
            () = context.deadline_moved() => {}
            () = tokio::time::sleep_until(due) => return Err(refuse(DeadlineRefusal::Exceeded)),
        }
    }
}
