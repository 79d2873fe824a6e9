//! Calls to services that are not ours: a bulkhead, a breaker, a time for each attempt, retries only of what is
//! safe, an answer of bounded size, no redirects. Whatever they do, our caller gets a problem of ours.

mod exchange;
mod fault;
mod settings;

pub use self::settings::Settings;
pub use fault::UpstreamFault;

use std::time::Instant;

use reqwest::{Client, Method, Request, Url, header::HeaderValue, redirect};
use resilience::{
    Breaker, BreakerSettings, BreakerState, Broken, ConcurrencyLimit, RetryEvent, RetryPolicy, Trip,
};
use runtime::RequestContext;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use telemetry::{
    client_span,
    metrics::{DependencyMetrics, RetryMetrics},
};
use tracing::Instrument;

use self::exchange::{Reply, Terms, exchange, inject};

/// How an attempt can end, as the metric says it.
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

/// A client of one service. Clones share its breaker and bulkhead.
#[derive(Clone, Debug)]
pub struct Upstream {
    name: &'static str,
    base: Url,
    client: Client,
    breaker: Breaker,
    bulkhead: ConcurrencyLimit,
    retry: RetryPolicy,
    settings: Settings,
    metrics: DependencyMetrics,
    retries: RetryMetrics,
}

/// One call, whatever number of attempts it takes.
#[derive(Clone, Debug)]
pub struct Call {
    method: Method,
    path: String,
    body: Option<Value>,
    idempotency_key: Option<String>,
    refusals: &'static [u16],
    attempts_allowed: bool,
}

/// What the other side said.
#[derive(Debug)]
pub enum Answer<T> {
    /// A result.
    Value(T),
    /// A 4xx that the call declares ([`Call::refusals`]): it refuses what our caller asked for.
    Refused(u16),
}

impl Call {
    /// A read of this path, which goes behind that of the address; it begins with `/` and may have a query.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: None,
            idempotency_key: None,
            refusals: &[],
            attempts_allowed: true,
        }
    }

    /// A `POST`. It is sent once, unless [`safe_to_repeat`](Self::safe_to_repeat) or a key makes it safe.
    ///
    /// # Panics
    /// When the body does not serialize.
    pub fn post(path: impl Into<String>, body: &impl Serialize) -> Self {
        let body = serde_json::to_value(body).expect("bodies serialize");
        Self {
            method: Method::POST,
            body: Some(body),
            attempts_allowed: false,
            ..Self::get(path)
        }
    }

    /// The statuses with which the other side refuses what our caller asked for, such as 404 or 422. Any other 4xx is
    /// no fault of our caller: [`UpstreamFault::Rejected`].
    pub fn refusals(mut self, statuses: &'static [u16]) -> Self {
        self.refusals = statuses;
        self
    }

    /// It changes nothing at the other side, so it may be sent again.
    pub fn safe_to_repeat(mut self) -> Self {
        self.attempts_allowed = true;
        self
    }

    /// The other side makes one effect of all calls with this key, so it may be sent again.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self.attempts_allowed = true;
        self
    }

    /// It is not worth a second attempt.
    pub fn once(mut self) -> Self {
        self.attempts_allowed = false;
        self
    }
}

/// The client under all upstreams.
///
/// # Errors
/// When TLS cannot be set up.
pub fn http_client() -> anyhow::Result<Client> {
    Ok(Client::builder().redirect(redirect::Policy::none()).build()?)
}

impl Upstream {
    /// A client of the service at `base`.
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
        let trip = Trip::Share {
            failures: settings.breaker_share,
            of_at_least: settings.breaker_calls,
            within: settings.breaker_window,
        };
        let breaker = BreakerSettings {
            trip,
            open_for: settings.breaker_open,
        };
        Self {
            name,
            base,
            client,
            breaker: Breaker::new(breaker),
            bulkhead: ConcurrencyLimit::new(settings.bulkhead),
            retry,
            settings: settings.clone(),
            metrics,
            retries,
        }
    }

    /// Its name in metrics and under `/dependencies`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The breaker's state.
    pub fn breaker(&self) -> BreakerState {
        self.breaker.state()
    }

    /// Makes a call, again where that is safe, may help, and budget and deadline allow it.
    ///
    /// # Errors
    /// [`UpstreamFault`]; also when the answer is not a `T`.
    pub async fn call<T: DeserializeOwned>(
        &self,
        context: &RequestContext,
        call: &Call,
    ) -> Result<Answer<T>, UpstreamFault> {
        self.call_for(context, call, |_| true).await
    }

    /// As [`call`](Self::call), for an answer that `agrees` with what was asked.
    ///
    /// # Errors
    /// As [`call`](Self::call); [`UpstreamFault::Invalid`] where it does not agree.
    pub async fn call_for<T: DeserializeOwned>(
        &self,
        context: &RequestContext,
        call: &Call,
        agrees: impl Fn(&T) -> bool,
    ) -> Result<Answer<T>, UpstreamFault> {
        let on_event = |event| match event {
            RetryEvent::Retrying(reason) => self.retries.attempt(self.name, reason),
            RetryEvent::BudgetExhausted => self.retries.budget_exhausted(self.name),
        };
        let transient = |fault: &UpstreamFault| fault.transient().filter(|_| call.attempts_allowed);
        self.retry
            .run(context.deadline(), transient, on_event, || {
                self.attempt(context, call, &agrees)
            })
            .await
    }

    async fn attempt<T: DeserializeOwned>(
        &self,
        context: &RequestContext,
        call: &Call,
        agrees: &impl Fn(&T) -> bool,
    ) -> Result<Answer<T>, UpstreamFault> {
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
        let reply = self.guarded(context, call, &span).instrument(span.clone()).await;
        let result = reply.and_then(|reply| understood(reply, agrees));
        let outcome = match &result {
            Ok(Answer::Value(_)) => "ok",
            Ok(Answer::Refused(_)) => "refused",
            Err(fault) => fault.outcome(),
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
    ) -> Result<Reply, UpstreamFault> {
        let place = self.bulkhead.try_enter().ok_or(UpstreamFault::Saturated)?;
        let request = self.request(context, call, span);
        let client = self.client.clone();
        let terms = Terms {
            refusals: call.refusals,
            has_key: call.idempotency_key.is_some(),
            max_bytes: self.settings.max_response_bytes,
        };
        let (left, full) = (context.deadline().remaining(), self.settings.attempt_timeout);
        // The timeout is inside the breaker: a call dropped from outside is not counted. That is just what a caller
        // in a hurry needs: its own deadline says nothing about the other side.
        let call = self.breaker.call(async move {
            let _place = place;
            let exchange = exchange(client, request, terms);
            tokio::time::timeout(full, exchange)
                .await
                .unwrap_or(Err(UpstreamFault::TimedOut))
        });
        let result = if left < full {
            tokio::time::timeout(left, call).await
        } else {
            Ok(call.await)
        };
        result
            .map_err(|_| UpstreamFault::TimedOut)?
            .map_err(|broken| match broken {
                Broken::Open => UpstreamFault::Open,
                Broken::Failed(fault) => fault,
            })
    }

    fn request(&self, context: &RequestContext, call: &Call, span: &tracing::Span) -> Request {
        let (path, query) = match call.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (call.path.as_str(), None),
        };
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.set_query(query);
        let mut request = Request::new(call.method.clone(), url);
        let headers = request.headers_mut();
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        };
        set("x-request-id", context.request_id());
        set("accept", "application/json");
        if let Some(key) = &call.idempotency_key {
            set("idempotency-key", key);
        }
        if call.body.is_some() {
            set("content-type", "application/json");
        }
        inject(span, request.headers_mut());
        *request.body_mut() = call.body.as_ref().map(|body| body.to_string().into());
        request
    }
}

/// What the reply says to our caller.
fn understood<T: DeserializeOwned>(
    reply: Reply,
    agrees: impl Fn(&T) -> bool,
) -> Result<Answer<T>, UpstreamFault> {
    match reply {
        Reply::Value(value) => match serde_path_to_error::deserialize(value) {
            Ok(value) if agrees(&value) => Ok(Answer::Value(value)),
            Ok(_) => Err(UpstreamFault::Invalid("not what was asked for".into())),
            // Where, not what: the message could quote the other side.
            Err(error) => Err(UpstreamFault::Invalid(
                format!("not as promised at `{}`", error.path()).into(),
            )),
        },
        Reply::Refused(status) => Ok(Answer::Refused(status)),
        Reply::Throttled(wait) => Err(UpstreamFault::Throttled(wait)),
    }
}
