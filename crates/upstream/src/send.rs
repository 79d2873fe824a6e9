//! One attempt over HTTP, and how its response is classified.

use std::time::Duration;

use chrono::{DateTime, Utc};
use opentelemetry::propagation::{Injector, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use reqwest::{
    Client, Request, Response,
    header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use serde_json::Value;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::UpstreamError;

/// The wait to pass on when the upstream service asks us to wait without saying how long.
const DEFAULT_WAIT: Duration = Duration::from_secs(1);

/// The longest wait to pass on, whatever the upstream service asks for.
const MAX_WAIT: Duration = Duration::from_hours(1);

/// A response that is not a failure of the upstream service.
pub(super) enum RawResponse {
    /// 2xx.
    Value(Value),
    /// A 4xx that the call declares as a refusal of our client's request.
    Refused(u16),
    /// 429.
    Throttled(Duration),
    /// 409 or 425, if the call has an idempotency key or the response has `Retry-After`: an earlier call for the same
    /// effect is still running.
    InProgress(Duration),
}

/// How a response is classified.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseRules {
    /// The statuses that the call declares as refusals.
    pub(super) refusals: &'static [u16],
    /// Whether the call has an idempotency key, so that a conflict means that an earlier attempt is still running.
    pub(super) has_key: bool,
    /// The largest body that is read, in bytes.
    pub(super) max_bytes: usize,
}

/// Sends the request, and reads and classifies the response.
pub(super) async fn send(
    client: Client,
    request: Request,
    rules: ResponseRules,
) -> Result<RawResponse, UpstreamError> {
    let response = client.execute(request).await.map_err(|error| {
        let error = error.without_url();
        if error.is_connect() {
            UpstreamError::Unreachable(error.into())
        } else {
            UpstreamError::Failed(error.into())
        }
    })?;
    let status = response.status();
    let wait = retry_after(&response);
    let with_status = |message: &str| format!("{message}: {status}");
    match status.as_u16() {
        200..300 => read_body(response, rules.max_bytes).await.map(RawResponse::Value),
        status if rules.refusals.contains(&status) => Ok(RawResponse::Refused(status)),
        401 | 403 => Err(UpstreamError::Unauthorized(
            with_status("our credentials are not accepted").into(),
        )),
        429 => Ok(RawResponse::Throttled(wait.unwrap_or(DEFAULT_WAIT))),
        409 | 425 if rules.has_key || wait.is_some() => {
            Ok(RawResponse::InProgress(wait.unwrap_or(DEFAULT_WAIT)))
        }
        500.. if let Some(wait) = wait => Err(UpstreamError::FailedUntil(wait)),
        408 | 500.. => Err(UpstreamError::Failed(
            with_status("the upstream service failed").into(),
        )),
        // A wrong address, a gateway instead of the service, or an invalid request of ours.
        400..500 => Err(UpstreamError::Rejected(
            with_status("the call does not declare this status as a refusal").into(),
        )),
        _ => Err(UpstreamError::Invalid(with_status("unexpected status").into())),
    }
}

async fn read_body(mut response: Response, max_bytes: usize) -> Result<Value, UpstreamError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| UpstreamError::Failed(error.without_url().into()))?
    {
        if body.len() + chunk.len() > max_bytes {
            return Err(UpstreamError::Invalid(
                format!("the response body exceeds {max_bytes} bytes").into(),
            ));
        }
        body.extend_from_slice(&chunk);
    }
    if body.is_empty() {
        return Ok(Value::Null);
    }
    // The parser's message has the line and the column, not the text.
    serde_json::from_slice(&body).map_err(|error| UpstreamError::Invalid(error.into()))
}

/// The wait in `Retry-After`, given in seconds or as a date (RFC 9110, section 10.2.3).
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let wait = if let Ok(seconds) = value.parse() {
        Duration::from_secs(seconds)
    } else {
        let then = DateTime::parse_from_rfc2822(value).ok()?;
        (then.to_utc() - Utc::now()).to_std().unwrap_or_default()
    };
    Some(wait.min(MAX_WAIT))
}

/// Injects the span's trace context into the headers (W3C Trace Context).
pub(super) fn inject(span: &Span, headers: &mut HeaderMap) {
    struct Headers<'h>(&'h mut HeaderMap);
    impl Injector for Headers<'_> {
        fn set(&mut self, key: &str, value: String) {
            if let (Ok(name), Ok(value)) = (key.parse::<HeaderName>(), HeaderValue::try_from(value)) {
                self.0.insert(name, value);
            }
        }
    }
    TraceContextPropagator::new().inject_context(&span.context(), &mut Headers(headers));
}
