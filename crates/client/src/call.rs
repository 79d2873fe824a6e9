//! One call: its attempts and retries.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use opentelemetry::trace::TraceContextExt;
use reqwest::{
    Method, RequestBuilder, Response,
    header::{AGE, RETRY_AFTER},
};
use resilience::{Deadline, RetryPolicy, Transient};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{Attempt, Error, Failure, Key, ProblemCode, Settings, TokenProvider};

/// A call to make.
pub(crate) struct Call<'c> {
    pub(crate) method: Method,
    pub(crate) route: &'static str,
    /// Whether the request has no effect, or the same one however often it is sent.
    pub(crate) idempotent: bool,
    pub(crate) key: Option<&'c Key>,
    pub(crate) request: &'c (dyn Fn() -> RequestBuilder + Sync),
}

/// A successful response.
pub(crate) struct Fresh<T> {
    pub(crate) value: T,
    /// The same value; `null` for an empty body.
    pub(crate) json: Value,
    /// The age that the service reports, if the value is from its cache.
    pub(crate) age: Option<Duration>,
}

/// A failed attempt, with the wait that the service asks for.
struct FailedAttempt<C> {
    failure: Failure<C>,
    retry_after: Option<Duration>,
}

impl<C> From<Failure<C>> for FailedAttempt<C> {
    fn from(failure: Failure<C>) -> Self {
        Self {
            failure,
            retry_after: None,
        }
    }
}

/// Makes a call, with a span and an event for each attempt.
pub(crate) async fn make<T: DeserializeOwned, C: ProblemCode>(
    call: Call<'_>,
    token: &dyn TokenProvider,
    retry: &RetryPolicy,
    settings: &Settings,
) -> Result<Fresh<T>, Error<C>> {
    let request_id = uuid::Uuid::now_v7().to_string();
    let deadline = Deadline::after(settings.deadline);
    let attempts = Mutex::new(Vec::<Attempt>::new());
    let last_end = Mutex::new(Instant::now());
    let attempt = || async {
        let began = Instant::now();
        let waited = began - *last_end.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = deadline.capped_at(settings.attempt_timeout);
        let span = tracing::info_span!(
            "call",
            otel.name = format!("{} {}", call.method, call.route),
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            request_id,
        );
        let sent = async {
            let token = token.token().await.map_err(Failure::NoToken)?;
            let time_left = limit.remaining().as_millis().max(1);
            let request = (call.request)()
                .bearer_auth(token)
                .header("x-request-id", &request_id)
                .header("x-request-timeout-ms", time_left.to_string());
            let request = match traceparent(&span) {
                Some(traceparent) => request.header("traceparent", traceparent),
                None => request,
            };
            send(request).await
        };
        let result = match limit.timeout(sent.instrument(span.clone())).await {
            Ok(result) => result,
            Err(_) => Err(Failure::TimedOut.into()),
        };
        *last_end.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let attempt = Attempt {
            outcome: match &result {
                Ok(_) => "ok".to_owned(),
                Err(failed) => failed.failure.to_string(),
            },
            took: began.elapsed(),
            waited,
            outcome_unknown: result
                .as_ref()
                .is_err_and(|failed| failed.failure.outcome_unknown()),
        };
        let mut attempts = attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if result.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        // The outcome has the problem and its detail, which never repeat what was sent.
        tracing::info!(
            parent: &span,
            method = call.method.as_str(),
            route = call.route,
            request_id,
            attempt = attempts.len() + 1,
            outcome = attempt.outcome,
            duration_ms = milliseconds(attempt.took),
            waited_ms = milliseconds(attempt.waited),
            payload = result.as_ref().ok().map(|response| shape(&response.json)),
            "attempt completed"
        );
        attempts.push(attempt);
        drop(attempts);
        result
    };
    let transient = |failed: &FailedAttempt<C>| transient(failed, call.idempotent);
    retry
        .run(deadline, transient, |_| (), attempt)
        .await
        .map_err(|failed| Error {
            method: call.method.clone(),
            route: call.route,
            failure: failed.failure,
            request_id: request_id.clone(),
            idempotency_key: call.key.cloned(),
            attempts: attempts.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1_000.0
}

/// The trace context of the span (W3C Trace Context), if a tracer is installed.
fn traceparent(span: &Span) -> Option<String> {
    let context = span.context();
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| {
        let (trace, span, flags) = (context.trace_id(), context.span_id(), context.trace_flags());
        format!("00-{trace}-{span}-{:02x}", flags.to_u8())
    })
}

/// The names and types of the fields of a payload, without its values.
fn shape(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(text) => format!("string({})", text.len()),
        Value::Array(items) => match items.first() {
            Some(first) => format!("[{} x {}]", items.len(), shape(first)),
            None => "[]".to_owned(),
        },
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| format!("{name}: {}", shape(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Why and when to retry, or `None` for a request that could take effect twice and for a permanent failure.
fn transient<C>(failed: &FailedAttempt<C>, idempotent: bool) -> Option<Transient> {
    if !idempotent {
        return None;
    }
    let reason = match &failed.failure {
        Failure::Problem(problem) if problem.retryable => "problem",
        Failure::Status(408 | 429 | 502..=504) => "status",
        Failure::Transport(_) => "connection",
        Failure::TimedOut => "timeout",
        _ => return None,
    };
    Some(Transient {
        reason,
        retry_after: failed.retry_after.unwrap_or_default(),
    })
}

async fn send<T: DeserializeOwned, C: ProblemCode>(
    request: RequestBuilder,
) -> Result<Fresh<T>, FailedAttempt<C>> {
    let lost = |error: reqwest::Error| Failure::Transport(error.without_url().to_string());
    let response = request.send().await.map_err(lost)?;
    let (status, retry_after, age) = (response.status(), retry_after(&response), age(&response));
    let body = response.bytes().await.map_err(lost)?;
    if status.is_success() {
        // The parser's message has the line and the column, not the text.
        let malformed = |error: serde_json::Error| Failure::Invalid(error.to_string());
        let json = match &body[..] {
            [] => Value::Null,
            json => serde_json::from_slice(json).map_err(malformed)?,
        };
        // Only the path: the error's own message could quote the response.
        let value = serde_path_to_error::deserialize(&json)
            .map_err(|error| Failure::Invalid(format!("an unexpected shape at `{}`", error.path())))?;
        return Ok(Fresh { value, json, age });
    }
    let failure = match serde_json::from_slice(&body) {
        Ok(problem) => Failure::Problem(Box::new(problem)),
        Err(_) => Failure::Status(status.as_u16()),
    };
    Err(FailedAttempt { failure, retry_after })
}

/// The age of a response from a cache, in seconds (RFC 9111, section 5.1).
fn age(response: &Response) -> Option<Duration> {
    let age = response.headers().get(AGE)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(age))
}

/// The wait that `Retry-After` asks for, in seconds or until a date (RFC 9110, section 10.2.3).
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?;
    Some((date.to_utc() - Utc::now()).to_std().unwrap_or_default())
}
