//! A constant rate of requests, and their outcomes.

#![expect(
    clippy::disallowed_methods,
    reason = "a tool has no shutdown to wait in, and calls what it started"
)]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use super::Failure;

/// Longer than the service's own deadline: a request without a response by then is the service's failure.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);

/// The outcome of one request.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// When the request was sent.
    pub sent: Instant,
    /// Time until the response was read, or the request failed.
    pub took: Duration,
    /// Method and path of the operation, without ids.
    pub operation: &'static str,
    /// The status, followed by the problem's code if there is one; `lost` if no response arrived.
    pub result: String,
    /// The id of the request's trace, where it is known.
    pub trace_id: Option<String>,
}

impl Outcome {
    /// Whether the status is 2xx.
    pub(crate) fn is_ok(&self) -> bool {
        self.result.starts_with('2')
    }
}

/// An operation that the load calls.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    /// `POST /v1/orders`.
    Order,
    /// `GET /v1/orders`.
    List,
    /// `POST /v1/quotes`.
    Quote,
    /// `GET /v1/orders/{id}`.
    Read,
}

/// Every operation, in equal shares.
pub(crate) const EVERYTHING: &[Call] = &[Call::Order, Call::List, Call::Quote, Call::Read];

/// A client that acts as one subject and calls its operations in turn.
#[derive(Clone)]
pub(crate) struct Caller {
    client: Client,
    base: String,
    token: String,
    calls: &'static [Call],
    /// `Some(n)`: one request in `n` has a sampled trace.
    traced: Option<u64>,
    /// The path of the order that `Call::Read` reads.
    order_path: String,
}

impl Caller {
    /// Creates a caller of the service at `base` that authenticates with `token` and reuses connections.
    pub(crate) fn new(base: String, token: String) -> Result<Self, Failure> {
        Ok(Self {
            client: Client::builder().timeout(REQUEST_TIMEOUT).build()?,
            base,
            token,
            calls: EVERYTHING,
            traced: None,
            order_path: String::new(),
        })
    }

    /// Opens a new connection for each request, so that requests spread over all pods.
    pub(crate) fn without_keep_alive(mut self) -> Result<Self, Failure> {
        self.client = Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(self)
    }

    /// Replaces the operations to call.
    pub(crate) fn calling(mut self, calls: &'static [Call]) -> Self {
        self.calls = calls;
        self
    }

    /// Gives one request in `every` a sampled trace, whose id is in the outcome.
    pub(crate) fn traced(mut self, every: u64) -> Self {
        self.traced = Some(every);
        self
    }

    /// Places the order that `Call::Read` reads.
    pub(crate) async fn with_an_order(mut self) -> Result<Self, Failure> {
        let response = self.order().send().await?.error_for_status()?;
        response.headers()["location"]
            .to_str()?
            .clone_into(&mut self.order_path);
        Ok(self)
    }

    /// Builds an authenticated request to `path`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        request.bearer_auth(&self.token)
    }

    /// Builds a request that places an order, with a new idempotency key.
    pub(crate) fn order(&self) -> RequestBuilder {
        let order = json!({
            "customer_email": "ada@example.com", "currency": "EUR",
            "items": [{ "sku": "ABC-1234", "quantity": 2, "unit_price_cents": 1999 }]
        });
        let key = uuid::Uuid::new_v4().to_string();
        self.request(Method::POST, "/v1/orders")
            .header("idempotency-key", key)
            .json(&order)
    }

    /// Builds a request for a quote.
    pub(crate) fn quote(&self, sku: &str) -> RequestBuilder {
        let quote = json!({ "currency": "EUR", "items": [{ "sku": sku, "quantity": 2 }] });
        self.request(Method::POST, "/v1/quotes").json(&quote)
    }

    async fn outcome(&self, turn: u64) -> Outcome {
        let (operation, mut request) =
            match self.calls[usize::try_from(turn).unwrap_or_default() % self.calls.len()] {
                Call::Order => ("POST /v1/orders", self.order()),
                Call::List => ("GET /v1/orders", self.request(Method::GET, "/v1/orders?limit=5")),
                Call::Quote => ("POST /v1/quotes", self.quote("ABC-1234")),
                Call::Read => ("GET /v1/orders/{id}", self.request(Method::GET, &self.order_path)),
            };
        let trace = self
            .traced
            .filter(|every| turn.is_multiple_of(*every))
            .map(|_| testkit::new_trace(true));
        if let Some((_, traceparent)) = &trace {
            request = request.header("traceparent", traceparent);
        }
        let sampled = trace.map(|(trace_id, _)| trace_id);
        let sent = Instant::now();
        let (result, trace_id) = match request.send().await {
            Err(_) => ("lost".to_owned(), sampled),
            Ok(response) => {
                let status = response.status().as_u16();
                let body: Value = response.json().await.unwrap_or_default();
                match body["code"].as_str() {
                    Some(code) => (
                        format!("{status} {code}"),
                        body["trace_id"].as_str().map(str::to_owned),
                    ),
                    None => (status.to_string(), sampled),
                }
            }
        };
        Outcome {
            sent,
            took: sent.elapsed(),
            operation,
            result,
            trace_id,
        }
    }
}

/// A stream of requests, sent until this value is dropped.
pub(crate) struct Load {
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    sending: JoinHandle<()>,
}

impl Load {
    /// Starts sending one request per `period`.
    pub(crate) fn start(caller: Caller, period: Duration) -> Self {
        let outcomes = Arc::<Mutex<Vec<Outcome>>>::default();
        let collected = outcomes.clone();
        let sending = tokio::spawn(async move {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            for turn in 0.. {
                ticks.tick().await;
                let (caller, collected) = (caller.clone(), collected.clone());
                tokio::spawn(async move {
                    let outcome = caller.outcome(turn).await;
                    collected.lock().expect("not poisoned").push(outcome);
                });
            }
        });
        Self { outcomes, sending }
    }

    /// The outcomes of completed requests that were sent since `moment`.
    pub(crate) fn since(&self, moment: Instant) -> Vec<Outcome> {
        let outcomes = self.outcomes.lock().expect("not poisoned");
        outcomes
            .iter()
            .filter(|outcome| outcome.sent >= moment)
            .cloned()
            .collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.sending.abort();
    }
}

/// Counts each result, by operation.
pub(crate) fn tally(outcomes: &[Outcome]) -> BTreeMap<(&'static str, String), usize> {
    let mut tally = BTreeMap::new();
    for outcome in outcomes {
        *tally
            .entry((outcome.operation, outcome.result.clone()))
            .or_default() += 1;
    }
    tally
}
