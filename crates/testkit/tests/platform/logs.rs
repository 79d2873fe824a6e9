//! The request log: one event per request, with all that an operator needs and neither secrets nor personal data.

use std::time::Duration;

use auth::DEVELOPMENT_SECRET;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use settings::ExposeSecret;
use testkit::{
    Mode, RawConnection, Span, attribute, log_lines, log_lines_of, new_trace,
    notes::{NOTES, sample_note},
    wait_for_spans,
};

use crate::TestApp;

async fn event_of(request: reqwest::RequestBuilder, id: &str) -> Value {
    request
        .header("x-request-id", id)
        .send()
        .await
        .expect("a response");
    let events: Vec<Value> = log_lines_of(id)
        .into_iter()
        .filter(|line| line["message"] == "request completed")
        .collect();
    assert_eq!(events.len(), 1, "one event per request: {events:?}");
    events[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_of_a_request_has_all_of_its_fields() {
    let app = TestApp::start().await;
    app.database.slow_inserts(0.05).await;
    let event = event_of(app.write_request("k", &sample_note()), "logs-created").await;
    assert_eq!(
        (&event["severity"], &event["http_status"]),
        (&"INFO".into(), &201.into())
    );
    assert_eq!(
        (&event["method"], &event["route"]),
        (&"POST".into(), &"/v1/test/notes".into())
    );
    assert_eq!(
        (&event["request_id"], &event["attempts"]),
        (&"logs-created".into(), &1.into())
    );
    let milliseconds = |field: &str| event[field].as_f64().expect("a number");
    assert!(milliseconds("db_ms") >= 50.0, "{event}");
    assert!(milliseconds("duration_ms") > milliseconds("db_ms"), "{event}");
    assert_eq!(event["trace_id"].as_str().expect("a trace id").len(), 32);
    assert_eq!(event["subject"].as_str().expect("a hash").len(), 16);
    assert!(event.get("problem").is_none());

    let event = event_of(app.request(Method::GET, "/v1/test/notes/17"), "logs-refused").await;
    assert_eq!(
        (&event["severity"], &event["problem"]),
        (&"INFO".into(), &"invalid-path".into())
    );
    assert_eq!(event["route"], "/v1/test/notes/{id}");
    assert_eq!(event["db_ms"], 0.0, "the database was not queried");

    let path = app.create_note().await;
    let event = event_of(app.request(Method::GET, &path), "logs-read").await;
    assert!(event["db_ms"].as_f64().expect("a number") > 0.0, "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disconnects_is_logged_and_so_is_a_later_failure() {
    let app = TestApp::start().await;
    app.database.fail_inserts("XX000", 1).await;
    let lock = app.database.lock_notes().await;
    let head = crate::commits::post(&app, "k").replacen(
        "host: test",
        "host: test\r\nx-request-id: logs-disconnected",
        1,
    );
    let mut connection = RawConnection::open(app.address).await;
    connection.send(head).await;
    app.database.wait_for_lock_waiter().await;
    connection.reset();
    app.wait_for_in_flight(0).await;
    lock.release().await;
    let lifecycle = &app.app.platform.lifecycle;
    assert!(lifecycle.drain(Duration::from_secs(5)).await);
    let lines = log_lines_of("logs-disconnected");
    let abandoned = lines
        .iter()
        .find(|line| line["message"] == "client disconnected before the response");
    let abandoned = abandoned.expect("the disconnect is logged");
    assert_eq!(abandoned["reason"], "client disconnected");
    assert!(
        abandoned["db_ms"].as_f64().expect("a number") > 0.0,
        "the request waited for the lock: {abandoned}"
    );
    let failed = lines
        .iter()
        .find(|line| line["message"] == "failed after its client had disconnected");
    assert_eq!(failed.expect("the failure is logged")["problem"], "internal");
    let route =
        "http_server_abandoned_requests_total{http_request_method=\"POST\",http_route=\"/v1/test/notes\"}";
    assert_eq!(app.metric(route).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_5xx_is_logged_as_an_error_with_its_cause() {
    let app = TestApp::build().postgres_proxy().start().await;
    app.postgres.as_ref().expect("built with a proxy").set(Mode::Cut);
    let event = event_of(app.request(Method::GET, "/v1/test/notes"), "logs-failed").await;
    assert_eq!(
        (&event["severity"], &event["problem"]),
        (&"ERROR".into(), &"dependency-unavailable".into())
    );
    assert!(!event["cause"].as_str().expect("a cause").is_empty());
    assert_eq!(event["attempts"], 3);
}

/// Such refusals are expected in every release, so their level must not page anyone.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_during_shutdown_is_logged_as_a_warning() {
    let app = TestApp::start().await;
    app.app.platform.lifecycle.advance(runtime::Phase::Draining);
    let event = event_of(app.request(Method::GET, "/v1/test/notes"), "logs-draining").await;
    assert_eq!(
        (&event["severity"], &event["problem"]),
        (&"WARNING".into(), &"shutting-down".into())
    );
}

/// Plants markers in everything that a client or the configuration can set, including a request that fails with a 500
/// and a cause chain.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_and_personal_data_are_in_no_log_line_metric_span_or_problem() {
    let app = TestApp::start().await;
    let token = app.token("planted-subject", "test:read test:write");
    let (trace_id, traceparent) = new_trace(true);
    let anonymous = |method, path: &str| {
        let request = app.anonymous(method, path).header("traceparent", &traceparent);
        request.header("tracestate", "vendor=planted-state")
    };
    let request = |method, path: &str| anonymous(method, path).bearer_auth(&token);
    let write = |key: &str, text: &str| {
        let request = request(Method::POST, NOTES).header("idempotency-key", key.to_owned());
        request.json(&json!({ "text": text }))
    };
    assert_eq!(
        write("planted-key", "planted-text")
            .send()
            .await
            .expect("a response")
            .status(),
        201
    );
    let mut bodies = Vec::new();
    let mut refused = async |request: RequestBuilder, status: u16| {
        let response = request.send().await.expect("a response");
        assert_eq!(response.status(), status);
        bodies.push(response.text().await.expect("a body"));
    };
    refused(write("planted-key", "planted-other-text"), 422).await;
    refused(write("planted key", "planted-text"), 400).await;
    refused(
        request(Method::POST, NOTES)
            .header("idempotency-key", "k")
            .json(&json!({ "planted": 1 })),
        400,
    )
    .await;
    refused(request(Method::GET, "/v1/test/echo?limit=planted-value"), 400).await;
    refused(request(Method::GET, "/v1/test/notes/planted-path"), 400).await;
    refused(anonymous(Method::GET, NOTES).bearer_auth("planted-token"), 401).await;
    app.database.fail_inserts("XX000", 1).await;
    refused(write("planted-third-key", "planted-text"), 500).await;

    let unavailable = TestApp::build().postgres_unavailable().start().await;
    refused(unavailable.request(Method::GET, NOTES), 503).await;
    let url = unavailable.settings.database.url.expose_secret();
    let password = url
        .split([':', '@'])
        .nth(2)
        .expect("the URL has a password")
        .to_owned();
    let url = url.split('?').next().expect("a URL").to_owned();

    let metrics = app.management("/metrics").await.text().await.expect("text");
    // All requests of the trace are sampled; the last one is the 500.
    let last = |spans: &[Span]| {
        spans
            .iter()
            .any(|span| attribute(span, "http.response.status_code") == "500")
    };
    let spans = format!("{:?}", wait_for_spans(&trace_id, last).await);
    // A problem may name an unknown field: the client has to know which one to correct.
    let bodies = bodies.concat().replace("\"/planted\"", "");
    for text in [log_lines(), metrics, spans, bodies] {
        for secret in [
            "planted",
            &token,
            DEVELOPMENT_SECRET,
            &url,
            &format!(":{password}@"),
        ] {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "`{secret}` in {line:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bug_is_logged_with_a_backtrace_and_no_known_failure_is() {
    let app = TestApp::start().await;
    app.database.fail_inserts("XX000", 1).await;
    let request = app.write_request("k", &testkit::notes::sample_note());
    let event = event_of(request, "logs-bug").await;
    assert_eq!(event["problem"], "internal");
    let backtrace = event["backtrace"].as_str().expect("a backtrace");
    assert!(backtrace.contains("write_note"), "{backtrace}");
    let known = event_of(app.request(Method::GET, "/v1/test/notes/17"), "logs-known").await;
    assert_eq!(
        (&known["problem"], &known["backtrace"]),
        (&"invalid-path".into(), &Value::Null)
    );
}

/// Under overload, the lines and traces of refusals would displace the failures worth keeping.
#[tokio::test(flavor = "multi_thread")]
async fn one_in_a_hundred_shed_requests_is_logged_and_all_are_counted() {
    let app = TestApp::start().await;
    app.app.platform.lifecycle.advance(runtime::Phase::Draining);
    for number in 0..150 {
        let request = app.request(Method::GET, "/v1/test/notes");
        let request = request.header("x-request-id", format!("logs-shed-{number}"));
        assert_eq!(request.send().await.expect("a response").status(), 503);
    }
    assert_eq!(log_lines_of("logs-shed-").len(), 2);
    let shed = "http_server_problems_total{http_request_method=\"GET\",http_route=\"/v1/test/notes\",problem=\"shutting-down\"}";
    assert_eq!(app.metric(shed).await, 150.0);
}
