//! A client of a service that knows its contract and its flows.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use testkit::{Contract, Criticality, Flow, Known, Operation, flows};

use super::Outcome;
use crate::Failure;

/// Longer than the service's own deadline: a request without a response by then is the service's failure.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);

/// A client that acts as one subject and runs flows. Clones share the count of requests.
#[derive(Clone)]
pub(crate) struct Caller {
    client: Client,
    base: String,
    token: String,
    contract: Arc<Contract>,
    flows: Arc<[Flow]>,
    /// `Some(n)`: one request in `n` has a sampled trace.
    traced: Option<u64>,
    sent: Arc<AtomicU64>,
}

impl Caller {
    /// Creates a caller of the service at `base` that authenticates with `token` and reuses connections. The contract
    /// is the one that the service publishes, the flows are those of `flows.toml`.
    pub(crate) async fn connect(base: String, token: String) -> Result<Self, Failure> {
        let client = Client::builder().timeout(REQUEST_TIMEOUT).build()?;
        let document = client.get(format!("{base}/openapi.json")).send().await;
        let document = document.map_err(|error| format!("no service responds at {base}: {error}"))?;
        let document: Value = document.error_for_status()?.json().await?;
        let contract = Contract::parse(&document)?;
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flows.toml");
        let flows = flows(&file)?.into();
        Ok(Self {
            client,
            base,
            token,
            contract: Arc::new(contract),
            flows,
            traced: None,
            sent: Arc::default(),
        })
    }

    // sample: begin
    /// Opens a new connection for each request, so that requests spread over all pods.
    pub(crate) fn without_keep_alive(mut self) -> Result<Self, Failure> {
        self.client = Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(self)
    }

    /// Runs these flows in place of those of `flows.toml`.
    pub(crate) fn running(mut self, flows: impl Into<Arc<[Flow]>>) -> Self {
        self.flows = flows.into();
        self
    }
    // sample: end

    /// Adds the operations that every service has, as a flow of weight 1.
    pub(crate) fn with_pages(mut self) -> Self {
        let in_a_flow = |id: &String| self.flows.iter().any(|flow| flow.steps.contains(id));
        let operations = self.contract.operations().iter();
        let pages = operations.filter(|operation| operation.of_platform && !in_a_flow(&operation.id));
        let mut steps: Vec<String> = Vec::new();
        for operation in pages.flat_map(|page| self.contract.path_to(page)) {
            if !steps.contains(&operation.id) {
                steps.push(operation.id.clone());
            }
        }
        let pages = Flow {
            name: "pages".to_owned(),
            steps,
            weight: 1,
            criticality: Criticality::Normal,
        };
        self.flows = self.flows.iter().cloned().chain([pages]).collect();
        self
    }

    /// Gives one request in `every` a sampled trace, whose id is in the outcome.
    pub(crate) fn traced(mut self, every: u64) -> Self {
        self.traced = Some(every);
        self
    }

    /// The contract of the service.
    pub(crate) fn contract(&self) -> &Contract {
        &self.contract
    }

    /// The client that sends the requests.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The address of the service.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Adds the token of this caller.
    pub(crate) fn authenticated(&self, request: RequestBuilder) -> RequestBuilder {
        request.bearer_auth(&self.token)
    }

    /// The flows that this caller runs.
    pub(crate) fn flows(&self) -> &[Flow] {
        &self.flows
    }

    /// Runs the steps of a flow in order and hands each outcome to `record`. A step whose ids are missing, because an
    /// earlier one failed, is left out.
    pub(crate) async fn run(&self, flow: &Flow, record: impl Fn(Outcome)) {
        let mut known = Known::default();
        for operation in flow.steps.iter().filter_map(|id| self.contract.find(id)) {
            let turn = self.sent.fetch_add(1, Ordering::Relaxed);
            let is_traced = self.traced.is_some_and(|every| turn.is_multiple_of(every));
            let trace = is_traced.then(|| testkit::new_trace(true));
            if let Some(outcome) = self.call(operation, &mut known, trace).await {
                record(outcome);
            }
        }
    }

    /// Sends the example of an operation, in `trace` if there is one, and keeps the ids of its response. `None` if an id
    /// is missing.
    pub(crate) async fn call(
        &self,
        operation: &Operation,
        known: &mut Known,
        trace: Option<(String, String)>,
    ) -> Option<Outcome> {
        let mut request = operation.request(&self.client, &self.base, known)?;
        if operation.needs_token {
            request = request.bearer_auth(&self.token);
        }
        if let Some((_, traceparent)) = &trace {
            request = request.header("traceparent", traceparent);
        }
        let sampled = trace.map(|(trace_id, _)| trace_id);
        let sent = Instant::now();
        let (result, is_unknown, trace_id) = match response(request).await {
            Err(_) => ("lost".to_owned(), true, sampled),
            Ok((status, body)) => {
                if let Some(code) = body["code"].as_str().filter(|_| status >= 400) {
                    let trace_id = body["trace_id"].as_str().map(str::to_owned);
                    (format!("{status} {code}"), body["outcome"] == "unknown", trace_id)
                } else {
                    operation.learn(&body, known);
                    (status.to_string(), false, sampled)
                }
            }
        };
        Some(Outcome {
            sent,
            took: sent.elapsed(),
            operation: operation.name.as_str().into(),
            result,
            is_unknown,
            trace_id,
        })
    }
}

/// Sends a request; returns the status and the body, which is null if it is not JSON. An error if the response is
/// incomplete.
pub(crate) async fn response(request: RequestBuilder) -> Result<(u16, Value), reqwest::Error> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let body = response.bytes().await?;
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}
