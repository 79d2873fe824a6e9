//! Faults of the supplier: what the client gets, how often the supplier is called, and what metrics and traces show.

#![expect(
    clippy::disallowed_methods,
    reason = "a test ends with its tasks and connects to itself"
)]

use std::{
    ops::Deref,
    time::{Duration, Instant},
};

use ::supplier::{Endpoint, Fault, Supplier};
use api_client::{Client, ProblemCode, QuoteItem, Settings};
use futures_util::future::join_all;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use testkit::{attribute, stub_server, wait_for_spans};

use crate::{TestApp, TestAppBuilder, assert_problem};

const QUOTES: &str = "/v1/quotes";
/// Text of the supplier's faulty responses, which must not reach the client.
const INTERNAL_TEXTS: [&str; 3] = ["supplier-internal", "NullPointerException", "html"];

fn quote_request(sku: &str) -> Value {
    json!({ "currency": "EUR", "items": [{ "sku": sku, "quantity": 2 }] })
}

/// An app with its own supplier.
pub(crate) struct Shop {
    app: TestApp,
    /// The supplier of the app.
    pub supplier: Supplier,
}

impl Deref for Shop {
    type Target = TestApp;

    fn deref(&self) -> &TestApp {
        &self.app
    }
}

/// Starts an app with its own supplier.
pub(crate) async fn shop(app: TestAppBuilder) -> Shop {
    let free = ([127, 0, 0, 1], 0).into();
    let supplier = ::supplier::start(free, free).expect("free ports");
    let app = app.set("supplier.url", &format!("http://{}", supplier.address));
    Shop {
        app: app.start().await,
        supplier,
    }
}

async fn quote(app: &TestApp) -> Response {
    let request = app.request(Method::POST, QUOTES).json(&quote_request("ABC-1234"));
    request.send().await.expect("a response")
}

/// An app whose circuit breaker stays closed, so that each call reaches the supplier.
pub(crate) fn without_breaker() -> TestAppBuilder {
    let app = TestApp::build().set("supplier.breaker_min_calls", "1000000");
    app.set("rate_limit.burst", "1000000")
        .set("rate_limit.per_second", "1000000")
}

/// Sets or removes the fault of an endpoint of the supplier.
pub(crate) fn set(app: &Shop, endpoint: Endpoint, fault: impl Into<Option<Fault>>) {
    app.supplier.set_fault(endpoint, fault.into());
}

fn requests_to(app: &Shop, endpoint: Endpoint) -> u64 {
    let received = app.supplier.received();
    received.requests.get(&endpoint).copied().unwrap_or_default()
}

/// Triggers the problem types of quotes, for the loop over the catalogue; returns whether `code` is one of them.
pub(crate) async fn trigger(code: &str) -> bool {
    if code != "quote-rejected" {
        return false;
    }
    let app = shop(TestApp::build()).await;
    let request = app.request(Method::POST, QUOTES).json(&quote_request("NONE-1"));
    assert_problem(
        request.send().await.expect("a response"),
        QUOTES,
        Method::POST,
        code,
    )
    .await;
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_is_requested_with_the_trace_and_request_ids() {
    let app = shop(TestApp::build()).await;
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let request = app.request(Method::POST, QUOTES).json(&quote_request("ABC-1234"));
    let request = request.header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01"));
    let response = request
        .header("x-request-id", "quote-1")
        .send()
        .await
        .expect("a response");
    let quote: Value = response.json().await.expect("JSON");
    assert_eq!(
        (&quote["total_cents"], &quote["currency"]),
        (&json!(3998), &json!("EUR"))
    );
    let received = app.supplier.received();
    assert_eq!(received.last_request_id.as_deref(), Some("quote-1"));
    let traceparent = received.last_traceparent.expect("the trace is propagated");
    assert_eq!(traceparent.split('-').nth(1), Some(trace_id));
    assert_ne!(
        traceparent.split('-').nth(2),
        Some("00f067aa0ba902b7"),
        "the call has its own span"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typed_client_has_quotes_and_deliveries() {
    let app = shop(TestApp::build()).await;
    let client = Client::new(
        &app.url,
        app.token("alice", "orders:read orders:write"),
        Settings::default(),
    )
    .expect("a client");
    let item = QuoteItem {
        sku: "ABC-1234".into(),
        quantity: 2,
    };
    let quote = client.create_quote("EUR", &[item]).await.expect("a price");
    assert_eq!((quote.total_cents, quote.currency.as_str()), (3998, "EUR"));
    let item = QuoteItem {
        sku: "NONE-1".into(),
        quantity: 1,
    };
    let refused = client.create_quote("EUR", &[item]).await.expect_err("not sold");
    assert_eq!(
        refused.problem().expect("a problem").code,
        ProblemCode::QuoteRejected
    );

    let path = crate::orders::placed(&app).await;
    let id = path.trim_start_matches("/v1/orders/").parse().expect("an id");
    let order = client.order_with_delivery(id).await.expect("an order").value;
    assert!(order.delivery.is_some() && order.degraded.is_empty(), "{order:?}");
}

/// The supplier may be behind a path prefix of a gateway, and its responses may be empty.
#[tokio::test(flavor = "multi_thread")]
async fn a_path_prefix_of_the_supplier_is_kept_and_an_empty_response_is_a_success() {
    let (port, mut requests) = stub_server("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await;
    let app = TestApp::build()
        .worker()
        .set("supplier.url", &format!("http://127.0.0.1:{port}/gate/"));
    let app = app.start().await;
    crate::orders::placed(&app).await;
    let head = requests.recv().await.expect("a request");
    assert!(head.starts_with("POST /gate/v1/notifications HTTP/1.1"), "{head}");
    let done = "SELECT count(*) FROM job_runs WHERE kind = 'send_confirmation' AND status = 'succeeded'";
    let began = Instant::now();
    while app.database.count(done).await == 0 {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "the empty 202 is not taken as a success"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// For each fault: what the client gets, and how often the supplier is called.
#[tokio::test(flavor = "multi_thread")]
async fn each_fault_has_its_problem_and_its_number_of_attempts() {
    let cases = [
        (Fault::Status { status: 500 }, "upstream-error", 3),
        (Fault::Status { status: 503 }, "upstream-error", 3),
        // Only statuses that the call declares as refusals are errors of the client.
        (Fault::Status { status: 422 }, "quote-rejected", 1),
        (Fault::Status { status: 400 }, "upstream-error", 1),
        (Fault::Status { status: 404 }, "upstream-error", 1),
        (Fault::Status { status: 405 }, "upstream-error", 1),
        (Fault::Status { status: 409 }, "upstream-error", 1),
        (Fault::ErrorShare { share: 1.0 }, "upstream-error", 3),
        (Fault::Unauthorized, "upstream-error", 1),
        (Fault::Status { status: 403 }, "upstream-error", 1),
        (Fault::Garbage, "upstream-invalid", 1),
        (Fault::WrongShape, "upstream-invalid", 1),
        (Fault::Huge, "upstream-invalid", 1),
        (Fault::RedirectLoop, "upstream-invalid", 1),
        (Fault::Truncated, "upstream-error", 3),
        (Fault::Hang, "deadline-exceeded", 3),
        (Fault::Latency { ms: 5_000 }, "deadline-exceeded", 3),
        (
            Fault::TooManyRequests { retry_after: 7 },
            "upstream-unavailable",
            1,
        ),
    ];
    // A retry budget that is large enough for all cases.
    let app = shop(
        without_breaker()
            .set("retry.budget_ratio", "1")
            .set("supplier.attempt_timeout", "150ms"),
    )
    .await;
    for (fault, code, attempts) in cases {
        set(&app, Endpoint::Quotes, fault);
        let before = requests_to(&app, Endpoint::Quotes);
        let response = quote(&app).await;
        let retry_after = response.headers().get("retry-after").cloned();
        let problem = assert_problem(response, QUOTES, Method::POST, code).await;
        assert_eq!(
            requests_to(&app, Endpoint::Quotes) - before,
            attempts,
            "{fault:?}"
        );
        for text in INTERNAL_TEXTS {
            assert!(!problem.to_string().contains(text), "{fault:?}: {problem}");
        }
        if let Fault::TooManyRequests { retry_after: seconds } = fault {
            let wait: u64 = retry_after
                .expect("retryable")
                .to_str()
                .expect("ASCII")
                .parse()
                .expect("seconds");
            assert!(
                (seconds..=seconds + 1).contains(&wait),
                "the wait of the supplier: {wait}"
            );
        }
        set(&app, Endpoint::Quotes, None);
        assert_eq!(quote(&app).await.status(), 200, "after {fault:?}");
    }
    let unauthorized =
        "dependency_request_duration_seconds_count{dependency=\"supplier\",outcome=\"unauthorized\"}";
    assert_eq!(app.metric(unauthorized).await, 2.0, "what the alert is based on");
    let rejected = "dependency_request_duration_seconds_count{dependency=\"supplier\",outcome=\"rejected\"}";
    assert_eq!(
        app.metric(rejected).await,
        4.0,
        "separate from refusals of the client's request"
    );
    let invalid = "dependency_request_duration_seconds_count{dependency=\"supplier\",outcome=\"invalid\"}";
    assert_eq!(
        app.metric(invalid).await,
        4.0,
        "what the runbook of the circuit breaker distinguishes causes by"
    );
}

/// The sample ratio is 0, but failed requests are kept.
#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_a_failed_quote_shows_each_attempt() {
    let app = shop(TestApp::build().set("retry.budget_ratio", "1")).await;
    set(&app, Endpoint::Quotes, Fault::Status { status: 500 });
    let problem = assert_problem(quote(&app).await, QUOTES, Method::POST, "upstream-error").await;
    let trace_id = problem["trace_id"].as_str().expect("a trace id");
    let root = format!("POST {QUOTES}");
    let spans = wait_for_spans(trace_id, |spans| {
        spans.iter().filter(|span| span.name == root).count() == 4
    })
    .await;
    let attempts: Vec<_> = spans.iter().filter(|span| span.name == "POST supplier").collect();
    assert_eq!(attempts.len(), 3, "{spans:?}");
    assert!(
        attempts
            .iter()
            .all(|attempt| attribute(attempt, "error.type") == "error")
    );
    // Each of the supplier's three spans is a child of the attempt that it served.
    for attempt in attempts {
        assert!(spans.iter().any(|span| span.parent_span_id == attempt.span_id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_add_at_most_a_tenth_of_the_calls_when_all_fail() {
    let app = shop(without_breaker().set("retry.initial_backoff", "1ms")).await;
    set(&app, Endpoint::Quotes, Fault::ErrorShare { share: 1.0 });
    for _ in 0..100 {
        let responses = join_all((0..10).map(|_| quote(&app))).await;
        assert!(responses.iter().all(|response| response.status() == 502));
    }
    let requests = requests_to(&app, Endpoint::Quotes);
    assert!(requests <= 1_100, "{requests} requests for 1000 calls");
    let exhausted = app
        .metric("retry_budget_exhausted_total{dependency=\"supplier\"}")
        .await;
    assert!(exhausted > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_opens_after_ten_calls_and_one_probe_closes_it() {
    let app = shop(
        TestApp::build()
            .set("supplier.breaker_open_duration", "300ms")
            .set("retry.max_attempts", "1"),
    )
    .await;
    let state = "dependency_breaker_state{dependency=\"supplier\"}";
    assert_eq!(app.metric(state).await, 0.0, "the series exists from the start");
    // A misrouted supplier: its gateway does not know the path.
    set(&app, Endpoint::Quotes, Fault::Status { status: 404 });
    for _ in 0..10 {
        assert_eq!(quote(&app).await.status(), 502);
    }
    assert_eq!(app.metric(state).await, 2.0);
    let before = requests_to(&app, Endpoint::Quotes);
    assert_problem(quote(&app).await, QUOTES, Method::POST, "upstream-unavailable").await;
    assert_eq!(requests_to(&app, Endpoint::Quotes), before, "calls are suspended");

    set(&app, Endpoint::Quotes, None);
    let opened = Instant::now();
    while quote(&app).await.status() != 200 {
        assert!(
            opened.elapsed() < Duration::from_secs(5),
            "the breaker does not close"
        );
    }
    assert_eq!(requests_to(&app, Endpoint::Quotes), before + 1, "one probe");
    assert_eq!(app.metric(state).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_supplier_takes_only_its_own_permits() {
    let app = shop(
        without_breaker()
            .set("supplier.max_concurrent_calls", "2")
            .set("http.max_in_flight", "8"),
    )
    .await;
    set(&app, Endpoint::Quotes, Fault::Hang);
    let hanging: Vec<_> = (0..2)
        .map(|_| {
            tokio::spawn(
                app.request(Method::POST, QUOTES)
                    .json(&quote_request("ABC-1234"))
                    .send(),
            )
        })
        .collect();
    while requests_to(&app, Endpoint::Quotes) < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_problem(quote(&app).await, QUOTES, Method::POST, "upstream-unavailable").await;
    assert!(
        hanging.iter().all(|call| !call.is_finished()),
        "the rejected call waited for a permit"
    );
    let others = join_all((0..4).map(|_| app.get("/v1/orders"))).await;
    assert!(others.iter().all(|response| response.status() == 200));
    for call in hanging {
        assert_eq!(call.await.expect("no panic").expect("a response").status(), 504);
    }
}

/// A client with a short deadline gets 504, but that does not count as a failure of the supplier.
#[tokio::test(flavor = "multi_thread")]
async fn short_deadlines_do_not_open_the_breaker() {
    let app = shop(TestApp::build()).await;
    set(&app, Endpoint::Quotes, Fault::Latency { ms: 300 });
    for _ in 0..15 {
        let request = app.request(Method::POST, QUOTES).json(&quote_request("ABC-1234"));
        let response = request
            .header("x-request-timeout-ms", "60")
            .send()
            .await
            .expect("a response");
        assert_problem(response, QUOTES, Method::POST, "client-deadline-exceeded").await;
    }
    assert_eq!(quote(&app).await.status(), 200);
}
