//! A constant stream of requests, and what became of them.

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

/// Longer than the service's own deadline: a request without an answer is a fault of the service.
const PATIENCE: Duration = Duration::from_secs(8);

/// One request's end.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// When it was sent.
    pub sent: Instant,
    /// How long its answer took.
    pub took: Duration,
    /// Method and path, without ids.
    pub operation: &'static str,
    /// The status, and the problem's code where there is one; `lost` where no answer came.
    pub result: String,
    /// Its trace.
    pub trace_id: Option<String>,
}

impl Outcome {
    /// Whether it went well.
    pub fn is_ok(&self) -> bool {
        self.result.starts_with('2')
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    /// `POST /v1/orders`.
    Order,
    /// `GET /v1/orders`.
    List,
    /// `POST /v1/quotes`.
    Quote,
    /// `GET /v1/orders/{id}`.
    Read,
}

/// As many of each.
pub const EVERYTHING: &[Call] = &[Call::Order, Call::List, Call::Quote, Call::Read];

/// Requests of one subject, one kind after the other.
#[derive(Clone)]
pub struct Caller {
    client: Client,
    base: String,
    token: String,
    calls: &'static [Call],
    /// Of how many requests one asks for its trace to be kept.
    traced: Option<u64>,
    /// An order of its own, to be read again and again.
    placed: String,
}

impl Caller {
    /// A caller of the service at `base`, with a token of it, that keeps its connections.
    pub fn new(base: String, token: String) -> Result<Self, Failure> {
        Ok(Self {
            client: Client::builder().timeout(PATIENCE).build()?,
            base,
            token,
            calls: EVERYTHING,
            traced: None,
            placed: String::new(),
        })
    }

    /// A new connection for each request, so that each may meet another pod.
    pub fn without_keep_alive(mut self) -> Result<Self, Failure> {
        self.client = Client::builder()
            .timeout(PATIENCE)
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(self)
    }

    /// Asks for these in turn.
    pub fn asking(mut self, calls: &'static [Call]) -> Self {
        self.calls = calls;
        self
    }

    /// One of so many requests has its trace kept, and its id told in the outcome.
    pub fn traced(mut self, of: u64) -> Self {
        self.traced = Some(of);
        self
    }

    /// Places the order that the load reads.
    pub async fn with_an_order(mut self) -> Result<Self, Failure> {
        let answer = self.order().send().await?.error_for_status()?;
        self.placed = answer.headers()["location"].to_str()?.to_owned();
        Ok(self)
    }

    /// A request to this path.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        request.bearer_auth(&self.token)
    }

    /// Places an order.
    pub fn order(&self) -> RequestBuilder {
        let order = json!({
            "customer_email": "ada@example.com", "currency": "EUR",
            "items": [{ "sku": "ABC-1234", "quantity": 2, "unit_price_cents": 1999 }]
        });
        let key = uuid::Uuid::new_v4().to_string();
        self.request(Method::POST, "/v1/orders")
            .header("idempotency-key", key)
            .json(&order)
    }

    /// Asks for a price.
    pub fn quote(&self, sku: &str) -> RequestBuilder {
        let quote = json!({ "currency": "EUR", "items": [{ "sku": sku, "quantity": 2 }] });
        self.request(Method::POST, "/v1/quotes").json(&quote)
    }

    async fn outcome(&self, turn: u64) -> Outcome {
        let (operation, mut request) = match self.calls[turn as usize % self.calls.len()] {
            Call::Order => ("POST /v1/orders", self.order()),
            Call::List => ("GET /v1/orders", self.request(Method::GET, "/v1/orders?limit=5")),
            Call::Quote => ("POST /v1/quotes", self.quote("ABC-1234")),
            Call::Read => ("GET /v1/orders/{id}", self.request(Method::GET, &self.placed)),
        };
        let kept = self
            .traced
            .filter(|of| turn.is_multiple_of(*of))
            .map(|_| testkit::new_trace(true));
        if let Some((_, traceparent)) = &kept {
            request = request.header("traceparent", traceparent);
        }
        let kept = kept.map(|(trace_id, _)| trace_id);
        let sent = Instant::now();
        let (result, trace_id) = match request.send().await {
            Err(_) => ("lost".to_owned(), kept),
            Ok(response) => {
                let status = response.status().as_u16();
                let body: Value = response.json().await.unwrap_or_default();
                match body["code"].as_str() {
                    Some(code) => (
                        format!("{status} {code}"),
                        body["trace_id"].as_str().map(str::to_owned),
                    ),
                    None => (status.to_string(), kept),
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

/// A stream of requests that goes on until it is dropped.
pub struct Load {
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    sending: JoinHandle<()>,
}

impl Load {
    /// Starts sending, one request `every` so often.
    pub fn start(caller: Caller, every: Duration) -> Self {
        let outcomes = Arc::<Mutex<Vec<Outcome>>>::default();
        let collected = outcomes.clone();
        let sending = tokio::spawn(async move {
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            for turn in 0.. {
                ticks.tick().await;
                let (caller, collected) = (caller.clone(), collected.clone());
                tokio::spawn(async move {
                    let outcome = caller.outcome(turn).await;
                    collected.lock().expect("no panic").push(outcome);
                });
            }
        });
        Self { outcomes, sending }
    }

    /// What was sent since then and has ended.
    pub fn since(&self, moment: Instant) -> Vec<Outcome> {
        let outcomes = self.outcomes.lock().expect("no panic");
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

/// How often each result was seen, by operation.
pub fn tally(outcomes: &[Outcome]) -> BTreeMap<(&'static str, String), usize> {
    let mut tally = BTreeMap::new();
    for outcome in outcomes {
        *tally
            .entry((outcome.operation, outcome.result.clone()))
            .or_default() += 1;
    }
    tally
}
