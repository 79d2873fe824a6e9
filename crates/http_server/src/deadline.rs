//! The request's deadline, as the caller asks for it and as the last resort.

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

use crate::{RequestExt, Settings, refuse};

/// What the caller allows, in milliseconds.
const REQUEST_TIMEOUT: &str = "x-request-timeout-ms";

/// Everything below ends by the deadline itself and knows why; this much later the net catches what did not.
const NET: Duration = Duration::from_millis(50);

/// How the deadline can refuse a request.
#[derive(Debug, Refusal)]
pub enum DeadlineRefusal {
    /// 400: the caller's timeout is not a number of milliseconds.
    #[problem(common::INVALID_REQUEST, "a header breaks rules")]
    InvalidTimeout(FieldError),
    /// 504: time is up.
    #[problem(common::DEADLINE_EXCEEDED, "the answer was not ready in time")]
    Exceeded,
}

/// The time a request may take: the caller's wish within what is allowed, else the default.
pub(super) fn time_allowed(headers: &HeaderMap, settings: &Settings) -> Duration {
    requested(headers)
        .ok()
        .flatten()
        .map_or(settings.deadline, |wish| {
            wish.clamp(settings.min_deadline, settings.max_deadline)
        })
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

/// Ends the request when its deadline has passed.
pub(super) async fn deadline(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    requested(request.headers()).map_err(refuse)?;
    let context = request.context();
    let mut served = pin!(next.call(request));
    loop {
        let due = context.deadline().instant() + NET;
        tokio::select! {
            result = &mut served => return result,
            // To after the arrival of the body, and nearer again when it is there.
            () = context.deadline_moved() => {}
            () = tokio::time::sleep_until(due) => return Err(refuse(DeadlineRefusal::Exceeded)),
        }
    }
}
