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

use super::compose::{Failure, address, token};

/// Below every quota, above every volume floor.
const EVERY: Duration = Duration::from_millis(40);
/// Longer than the service's own deadline: a request without an answer is a fault of the service.
const PATIENCE: Duration = Duration::from_secs(8);

/// One request's end.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// When it was sent.
    pub sent: Instant,
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

/// Requests of one subject, one kind after the other.
#[derive(Clone)]
pub struct Caller {
    client: Client,
    base: String,
    token: String,
    /// An order of its own, to be read again and again.
    placed: String,
}

impl Caller {
    /// A caller with a token of the running service.
    pub fn new(subject: &str) -> Result<Self, Failure> {
        Ok(Self {
            client: Client::builder().timeout(PATIENCE).build()?,
            base: address("api", 8080)?,
            token: token(subject)?,
            placed: String::new(),
        })
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
        let (operation, request) = match turn % 4 {
            0 => ("POST /v1/orders", self.order()),
            1 => ("GET /v1/orders", self.request(Method::GET, "/v1/orders?limit=5")),
            2 => ("POST /v1/quotes", self.quote("ABC-1234")),
            _ => ("GET /v1/orders/{id}", self.request(Method::GET, &self.placed)),
        };
        let sent = Instant::now();
        let (result, trace_id) = match request.send().await {
            Err(_) => ("lost".to_owned(), None),
            Ok(response) => {
                let status = response.status().as_u16();
                let body: Value = response.json().await.unwrap_or_default();
                match body["code"].as_str() {
                    Some(code) => (
                        format!("{status} {code}"),
                        body["trace_id"].as_str().map(str::to_owned),
                    ),
                    None => (status.to_string(), None),
                }
            }
        };
        Outcome {
            sent,
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
    /// Starts sending.
    pub fn start(caller: Caller) -> Self {
        let outcomes = Arc::<Mutex<Vec<Outcome>>>::default();
        let collected = outcomes.clone();
        let sending = tokio::spawn(async move {
            let mut ticks = interval(EVERY);
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
