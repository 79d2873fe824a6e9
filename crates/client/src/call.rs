//! One call: its attempts and retries.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use reqwest::{Method, RequestBuilder, Response, header::RETRY_AFTER};
use resilience::{Deadline, RetryPolicy, Transient};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Attempt, Error, Failure, ProblemCode, Settings};

/// A call to make.
pub(crate) struct Call<'c> {
    pub(crate) method: Method,
    pub(crate) route: &'static str,
    /// Whether the request has no effect, or the same one however often it is sent.
    pub(crate) idempotent: bool,
    pub(crate) request: &'c (dyn Fn() -> RequestBuilder + Sync),
}

/// A failed attempt, with the wait that the service asks for.
struct FailedAttempt<C> {
    failure: Failure<C>,
    retry_after: Option<Duration>,
}

/// Makes a call. Returns the decoded response and its JSON, which is `null` for an empty body.
pub(crate) async fn make<T: DeserializeOwned, C: ProblemCode>(
    call: Call<'_>,
    retry: &RetryPolicy,
    settings: &Settings,
) -> Result<(T, Value), Error<C>> {
    let request_id = uuid::Uuid::now_v7().to_string();
    let deadline = Deadline::after(settings.deadline);
    let attempts = Mutex::new(Vec::new());
    let last_end = Mutex::new(Instant::now());
    let attempt = || async {
        let began = Instant::now();
        let waited = began - *last_end.lock().unwrap_or_else(PoisonError::into_inner);
        let request = (call.request)().header("x-request-id", &request_id);
        let limit = deadline.capped_at(settings.attempt_timeout);
        let result = match limit.timeout(send(request)).await {
            Ok(result) => result,
            Err(_) => Err(FailedAttempt {
                failure: Failure::TimedOut,
                retry_after: None,
            }),
        };
        let outcome = match &result {
            Ok(_) => "ok".to_owned(),
            Err(failed) => failed.failure.to_string(),
        };
        *last_end.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        attempts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Attempt {
                outcome,
                took: began.elapsed(),
                waited,
            });
        result
    };
    let transient = |failed: &FailedAttempt<C>| transient(failed, call.idempotent);
    retry
        .run(deadline, transient, |_| (), attempt)
        .await
        .map_err(|failed| Error {
            method: match call.method {
                Method::GET => "GET",
                Method::DELETE => "DELETE",
                _ => "POST",
            },
            route: call.route,
            failure: failed.failure,
            request_id: request_id.clone(),
            attempts: attempts.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        })
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
) -> Result<(T, Value), FailedAttempt<C>> {
    let failed = |failure| FailedAttempt {
        failure,
        retry_after: None,
    };
    let lost = |error: reqwest::Error| failed(Failure::Transport(error.without_url().to_string()));
    let response = request.send().await.map_err(lost)?;
    let (status, retry_after) = (response.status(), retry_after(&response));
    let body = response.bytes().await.map_err(lost)?;
    if status.is_success() {
        let invalid = |error: serde_json::Error| failed(Failure::Invalid(error.to_string()));
        let value = match &body[..] {
            [] => Value::Null,
            json => serde_json::from_slice(json).map_err(invalid)?,
        };
        return Ok((T::deserialize(&value).map_err(invalid)?, value));
    }
    let failure = match serde_json::from_slice(&body) {
        Ok(problem) => Failure::Problem(Box::new(problem)),
        Err(_) => Failure::Status(status.as_u16()),
    };
    Err(FailedAttempt { failure, retry_after })
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
