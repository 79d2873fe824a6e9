//! Calls to other services, with a bulkhead, a circuit breaker, a timeout per attempt, retries of what is safe to
//! repeat, responses of bounded size and no redirects. Every failure becomes a problem from our own catalogue.

mod call;
mod error;
mod send;
mod settings;

pub use self::settings::Settings;
pub use call::Call;
pub use error::UpstreamError;

use std::time::{Duration, Instant};

use reqwest::{
    Client, Request, Url,
    header::{HeaderName, HeaderValue},
    redirect,
};
use resilience::{
    Breaker, BreakerError, BreakerSettings, BreakerState, ConcurrencyLimit, RetryEvent, RetryPolicy,
    TripPolicy,
};
use runtime::RequestContext;
use serde::de::DeserializeOwned;
use telemetry::{
    client_span,
    metrics::{DependencyMetrics, RetryMetrics},
};
use tracing::Instrument;

use self::send::{RawResponse, ResponseRules, inject, send};

/// The outcomes of an attempt, as metric labels.
const OUTCOMES: [&str; 11] = [
    "ok",
    "refused",
    "throttled",
    "skipped",
    "saturated",
    "unreachable",
    "error",
    "rejected",
    "unauthorized",
    "invalid",
    "timeout",
];

/// A client of one service. Clones share the circuit breaker and the bulkhead.
#[derive(Clone, Debug)]
pub struct Upstream {
    name: &'static str,
    base: Url,
    client: Client,
    breaker: Breaker,
    bulkhead: ConcurrencyLimit,
    retry: RetryPolicy,
    attempt_timeout: Duration,
    max_response_bytes: usize,
    credential: Option<(HeaderName, HeaderValue)>,
    metrics: DependencyMetrics,
    retries: RetryMetrics,
}

/// The response of the upstream service.
#[derive(Debug)]
pub enum UpstreamResponse<T> {
    /// A result.
    Value(T),
    /// A 4xx that the call declares ([`Call::refusals`]): the upstream service refuses what our client asked for.
    Refused(u16),
}

/// The HTTP client that all upstreams share.
///
/// # Errors
/// When TLS cannot be set up.
pub fn http_client() -> anyhow::Result<Client> {
    // A proxy from the environment of the process would be a surprise, and would see every credential.
    Ok(Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .build()?)
}

impl Upstream {
    /// A client of the service at `base`.
    ///
    /// # Panics
    /// When the credential cannot be sent, which the check of the configuration prevents.
    pub fn new(
        name: &'static str,
        base: Url,
        client: Client,
        retry: RetryPolicy,
        settings: &Settings,
        (metrics, retries): (DependencyMetrics, RetryMetrics),
    ) -> Self {
        metrics.announce(name, &OUTCOMES);
        retries.announce(name);
        let trip = TripPolicy::FailureRate {
            threshold: settings.breaker_failure_rate,
            min_calls: settings.breaker_min_calls,
            window: settings.breaker_window,
        };
        let breaker = BreakerSettings {
            trip,
            open_duration: settings.breaker_open_duration,
        };
        Self {
            name,
            base,
            client,
            breaker: Breaker::new(breaker),
            bulkhead: ConcurrencyLimit::new(settings.max_concurrent_calls),
            retry,
            attempt_timeout: settings.attempt_timeout,
            max_response_bytes: settings.max_response_bytes,
            credential: settings.credential().expect("checked with the configuration"),
            metrics,
            retries,
        }
    }

    /// The name of the service in metrics and under `/dependencies`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Maximum time of one attempt.
    pub fn attempt_timeout(&self) -> Duration {
        self.attempt_timeout
    }

    /// The state of the circuit breaker.
    pub fn breaker(&self) -> BreakerState {
        self.breaker.state()
    }

    /// Makes a call. Transient errors are retried if the call may be repeated and the budget and the deadline allow it.
    ///
    /// # Errors
    /// [`UpstreamError`], also when the response is not a `T`.
    pub async fn call<T: DeserializeOwned>(
        &self,
        context: &RequestContext,
        call: &Call,
    ) -> Result<UpstreamResponse<T>, UpstreamError> {
        self.call_for(context, call, |_| true).await
    }

    /// Like [`call`](Self::call), with a check that the response `matches_request`.
    ///
    /// # Errors
    /// As [`call`](Self::call); [`UpstreamError::Invalid`] when the response does not match.
    pub async fn call_for<T: DeserializeOwned>(
        &self,
        context: &RequestContext,
        call: &Call,
        matches_request: impl Fn(&T) -> bool,
    ) -> Result<UpstreamResponse<T>, UpstreamError> {
        let on_event = |event| match event {
            RetryEvent::Retrying(reason) => self.retries.attempt(self.name, reason),
            RetryEvent::BudgetExhausted => self.retries.budget_exhausted(self.name),
        };
        let transient = |error: &UpstreamError| error.transient().filter(|_| call.retryable);
        self.retry
            .run(context.deadline(), transient, on_event, || {
                self.attempt(context, call, &matches_request)
            })
            .await
    }

    async fn attempt<T: DeserializeOwned>(
        &self,
        context: &RequestContext,
        call: &Call,
        matches_request: &impl Fn(&T) -> bool,
    ) -> Result<UpstreamResponse<T>, UpstreamError> {
        context.count_attempt();
        let started = Instant::now();
        let span = client_span!(
            "upstream",
            otel.name = format!("{} {}", call.method, self.name),
            http.request.method = call.method.as_str(),
            server.address = self.base.host_str(),
            server.port = self.base.port_or_known_default().map(i64::from),
            outcome = tracing::field::Empty,
        );
        let response = self.guarded(context, call, &span).instrument(span.clone()).await;
        let result = response.and_then(|response| decode(response, matches_request));
        let outcome = match &result {
            Ok(UpstreamResponse::Value(_)) => "ok",
            Ok(UpstreamResponse::Refused(_)) => "refused",
            Err(error) => error.outcome(),
        };
        span.record("outcome", outcome);
        if result.is_err() && outcome != "throttled" {
            telemetry::failed(&span, outcome);
        }
        self.metrics.called(self.name, outcome, started.elapsed());
        result
    }

    async fn guarded(
        &self,
        context: &RequestContext,
        call: &Call,
        span: &tracing::Span,
    ) -> Result<RawResponse, UpstreamError> {
        let permit = self.bulkhead.try_acquire().ok_or(UpstreamError::Saturated)?;
        let request = self.request(context, call, span);
        let client = self.client.clone();
        let rules = ResponseRules {
            refusals: call.refusals,
            has_key: call.idempotency_key.is_some(),
            max_bytes: self.max_response_bytes,
        };
        let (time_left, attempt_timeout) = (context.deadline().remaining(), self.attempt_timeout);
        // The attempt's timeout is inside the breaker, so that it counts as a failure. A nearer deadline of the request
        // is outside, where it does not count: it says nothing about the upstream service.
        let call = self.breaker.call(async move {
            let _permit = permit;
            let sent = send(client, request, rules);
            tokio::time::timeout(attempt_timeout, sent)
                .await
                .unwrap_or(Err(UpstreamError::TimedOut))
        });
        let result = if time_left < attempt_timeout {
            tokio::time::timeout(time_left, call).await
        } else {
            Ok(call.await)
        };
        result
            .map_err(|_| UpstreamError::TimedOut)?
            .map_err(|error| match error {
                BreakerError::Open(wait) => UpstreamError::Open(wait),
                BreakerError::Failed(error) => error,
            })
    }

    fn request(&self, context: &RequestContext, call: &Call, span: &tracing::Span) -> Request {
        let mut request = Request::new(call.method.clone(), call.url(&self.base));
        let headers = request.headers_mut();
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        };
        set("x-request-id", context.request_id());
        set("accept", "application/json");
        // The upstream service must not work for a response that comes too late.
        let time_left = context.deadline().remaining().min(self.attempt_timeout);
        set("x-request-timeout-ms", &time_left.as_millis().max(1).to_string());
        if let Some(key) = &call.idempotency_key {
            set("idempotency-key", key);
        }
        if call.body.is_some() {
            set("content-type", "application/json");
        }
        if let Some((name, value)) = &self.credential {
            request.headers_mut().insert(name, value.clone());
        }
        inject(span, request.headers_mut());
        *request.body_mut() = call.body.as_ref().map(|body| body.to_string().into());
        request
    }
}

/// Decodes a response and checks that it matches the request.
fn decode<T: DeserializeOwned>(
    response: RawResponse,
    matches_request: impl Fn(&T) -> bool,
) -> Result<UpstreamResponse<T>, UpstreamError> {
    match response {
        RawResponse::Value(value) => match serde_path_to_error::deserialize(value) {
            Ok(value) if matches_request(&value) => Ok(UpstreamResponse::Value(value)),
            Ok(_) => Err(UpstreamError::Invalid(
                "the response does not match the request".into(),
            )),
            // Only the path: the error's own message could quote the response.
            Err(error) => Err(UpstreamError::Invalid(
                format!("the response has an unexpected shape at `{}`", error.path()).into(),
            )),
        },
        RawResponse::Refused(status) => Ok(UpstreamResponse::Refused(status)),
        RawResponse::Throttled(wait) => Err(UpstreamError::Throttled(wait)),
        RawResponse::InProgress(wait) => Err(UpstreamError::InProgress(wait)),
    }
}
