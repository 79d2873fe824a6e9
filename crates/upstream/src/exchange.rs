//! One attempt over HTTP, judged.

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

use super::UpstreamFault;

/// Where the other side asks us to wait without saying how long.
const DEFAULT_WAIT: Duration = Duration::from_secs(1);

/// Longer than that we do not pass on, whatever it says.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// An answer that is no failure of the other side.
pub(super) enum Reply {
    /// 2xx.
    Value(Value),
    /// A 4xx that the call declares as a refusal of our caller's request.
    Refused(u16),
    /// 429; or 409 and 425 while a first call with the same key is still running.
    Throttled(Duration),
}

/// How a response is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// The statuses that are our caller's fault.
    pub(super) refusals: &'static [u16],
    /// Whether the call has a key, so that a conflict means its first attempt is still running.
    pub(super) has_key: bool,
    /// The largest body that is read.
    pub(super) max_bytes: usize,
}

/// Sends and reads, within what the other side may cost us.
pub(super) async fn exchange(client: Client, request: Request, terms: Terms) -> Result<Reply, UpstreamFault> {
    let response = client.execute(request).await.map_err(|error| {
        let error = error.without_url();
        if error.is_connect() {
            UpstreamFault::Unreachable(error.into())
        } else {
            UpstreamFault::Failed(error.into())
        }
    })?;
    let status = response.status();
    let wait = retry_after(&response);
    let said = |words: &str| format!("{words}: {status}");
    match status.as_u16() {
        200..300 => read(response, terms.max_bytes).await.map(Reply::Value),
        status if terms.refusals.contains(&status) => Ok(Reply::Refused(status)),
        401 | 403 => Err(UpstreamFault::Unauthorized(
            said("our credentials are not accepted").into(),
        )),
        429 => Ok(Reply::Throttled(wait.unwrap_or(DEFAULT_WAIT))),
        409 | 425 if terms.has_key || wait.is_some() => Ok(Reply::Throttled(wait.unwrap_or(DEFAULT_WAIT))),
        408 | 500.. => Err(UpstreamFault::Failed(said("it failed").into())),
        // A wrong address, a gateway in its place, or a request of ours that is wrong.
        400..500 => Err(UpstreamFault::Rejected(
            said("a refusal that the call does not declare").into(),
        )),
        _ => Err(UpstreamFault::Invalid(
            said("an answer of another kind was expected").into(),
        )),
    }
}

async fn read(mut response: Response, max_bytes: usize) -> Result<Value, UpstreamFault> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| UpstreamFault::Failed(error.without_url().into()))?
    {
        if body.len() + chunk.len() > max_bytes {
            return Err(UpstreamFault::Invalid(
                format!("the answer is over {max_bytes} bytes").into(),
            ));
        }
        body.extend_from_slice(&chunk);
    }
    if body.is_empty() {
        return Ok(Value::Null);
    }
    // The parser's message tells line and column, not the text.
    serde_json::from_slice(&body).map_err(|error| UpstreamFault::Invalid(error.into()))
}

/// `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3).
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let then = DateTime::parse_from_rfc2822(value).ok()?;
            (then.to_utc() - Utc::now()).to_std().unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// Puts the span's trace identity into the headers (W3C Trace Context).
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
