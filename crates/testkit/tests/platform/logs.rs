//! One event per request, with what one needs at night, and nothing that must not be there.

use std::time::Duration;

use auth::DEVELOPMENT_SECRET;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use settings::ExposeSecret;
use testkit::{
    Mode, RawConnection, Span, attribute, log_lines, log_lines_of, new_trace,
    notes::{NOTES, note},
    wait_for_spans,
};

use crate::TestApp;

async fn event_of(request: reqwest::RequestBuilder, id: &str) -> Value {
    request
        .header("x-request-id", id)
        .send()
        .await
        .expect("an answer");
    let answered: Vec<Value> = log_lines_of(id)
        .into_iter()
        .filter(|line| line["message"] == "answered")
        .collect();
    assert_eq!(answered.len(), 1, "one event per request: {answered:?}");
    answered[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_of_a_request_has_its_fields() {
    let app = TestApp::start().await;
    app.database.slow_inserts(0.05).await;
    let event = event_of(app.write_request("k", &note()), "logs-created").await;
    assert_eq!((&event["level"], &event["status"]), (&"INFO".into(), &201.into()));
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
        (&event["level"], &event["problem"]),
        (&"INFO".into(), &"invalid-path".into())
    );
    assert_eq!(event["route"], "/v1/test/notes/{id}");
    assert_eq!(event["db_ms"], 0.0, "the database was not asked");

    let path = app.written().await;
    let event = event_of(app.request(Method::GET, &path), "logs-read").await;
    assert!(event["db_ms"].as_f64().expect("a number") > 0.0, "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hangs_up_leaves_its_event_and_its_failure_too() {
    let app = TestApp::start().await;
    app.database.fail_inserts("XX000", 1).await;
    let lock = app.database.lock_notes().await;
    let head =
        crate::commits::post(&app, "k").replacen("host: test", "host: test\r\nx-request-id: logs-hung-up", 1);
    let mut connection = RawConnection::open(app.address).await;
    connection.send(head).await;
    app.database.wait_for_lock_waiter().await;
    connection.reset();
    app.wait_for_in_flight(0).await;
    lock.release().await;
    let lifecycle = &app.app.platform.lifecycle;
    assert!(lifecycle.finish_commit_sections(Duration::from_secs(5)).await);
    let lines = log_lines_of("logs-hung-up");
    let abandoned = lines
        .iter()
        .find(|line| line["message"] == "abandoned before the answer");
    let abandoned = abandoned.expect("it is in the log");
    assert_eq!(abandoned["reason"], "the caller hung up");
    assert!(
        abandoned["db_ms"].as_f64().expect("a number") > 0.0,
        "it waited for the lock: {abandoned}"
    );
    let failed = lines
        .iter()
        .find(|line| line["message"] == "failed after its caller had hung up");
    assert_eq!(failed.expect("its failure is told")["problem"], "internal");
    let route = "http_server_abandoned_requests_total{http_route=\"/v1/test/notes\"}";
    assert_eq!(app.metric(route).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_5xx_is_an_error_with_its_cause() {
    let app = TestApp::build().postgres_proxy().start().await;
    app.postgres.as_ref().expect("asked for").set(Mode::Cut);
    let event = event_of(app.request(Method::GET, "/v1/test/notes"), "logs-failed").await;
    assert_eq!(
        (&event["level"], &event["problem"]),
        (&"ERROR".into(), &"dependency-unavailable".into())
    );
    assert!(!event["cause"].as_str().expect("a cause").is_empty());
    assert_eq!(event["attempts"], 3);
}

/// Plants markers wherever a caller or the configuration can put something, also into a 500 with its cause chain.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_and_personal_data_are_in_no_line_no_metric_and_no_problem() {
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
            .expect("an answer")
            .status(),
        201
    );
    let mut bodies = Vec::new();
    let mut refused = async |request: RequestBuilder, status: u16| {
        let response = request.send().await.expect("an answer");
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

    let away = TestApp::build().postgres_away().start().await;
    refused(away.request(Method::GET, NOTES), 503).await;
    let address = away.settings.database.url.expose_secret();
    let password = address
        .split([':', '@'])
        .nth(2)
        .expect("the address has a password")
        .to_owned();
    let address = address.split('?').next().expect("an address").to_owned();

    let metrics = app.management("/metrics").await.text().await.expect("text");
    // All of them are sampled; the last one is the 500.
    let last = |spans: &[Span]| {
        spans
            .iter()
            .any(|span| attribute(span, "http.response.status_code") == "500")
    };
    let spans = format!("{:?}", wait_for_spans(&trace_id, last).await);
    // The name of an unknown field is told: it is the caller's own word for what it has to correct.
    let bodies = bodies.concat().replace("\"/planted\"", "");
    for text in [log_lines(), metrics, spans, bodies] {
        for secret in [
            "planted",
            &token,
            DEVELOPMENT_SECRET,
            &address,
            &format!(":{password}@"),
        ] {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "`{secret}` in {line:?}");
        }
    }
}
