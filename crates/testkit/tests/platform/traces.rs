//! Tail sampling: with a sampling ratio of 0, traces of failed and slow requests are kept in full, others are not.

use reqwest::{Method, RequestBuilder};
use testkit::{
    CALLER, Mode, attribute, hex, is_error, new_trace,
    notes::{NOTES, sample_note},
    wait_for_spans,
};

use crate::{TestApp, assert_problem};

async fn status_of(request: RequestBuilder) -> u16 {
    request.send().await.expect("a response").status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_5xx_is_kept_with_every_attempt_even_if_its_client_does_not_sample() {
    let app = TestApp::build().postgres_proxy().start().await;
    app.postgres.as_ref().expect("built with a proxy").set(Mode::Cut);
    let (trace_id, traceparent) = new_trace(false);
    let request = app.request(Method::GET, NOTES).header("traceparent", traceparent);
    let response = request
        .header("x-request-id", "traced-1")
        .send()
        .await
        .expect("a response");
    let problem = assert_problem(response, NOTES, Method::GET, "dependency-unavailable").await;
    assert_eq!(problem["trace_id"], trace_id.as_str());

    let root_name = format!("GET {NOTES}");
    let spans = wait_for_spans(&trace_id, |spans| spans.iter().any(|span| span.name == root_name)).await;
    let root = spans
        .iter()
        .find(|span| span.name == root_name)
        .expect("found by `wait_for_spans`");
    assert!(is_error(root), "{root:?}");
    assert_eq!(
        hex(&root.parent_span_id),
        CALLER,
        "the root is a child of the client's span"
    );
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", NOTES),
        ("http.response.status_code", "503"),
        ("error.type", "dependency-unavailable"),
        ("request_id", "traced-1"),
    ] {
        assert_eq!(attribute(root, key), value, "{key}");
    }
    assert!(
        !attribute(root, "cause").is_empty(),
        "the span has the cause, like the log"
    );
    let attempts: Vec<_> = spans
        .iter()
        .filter(|span| attribute(span, "db.system.name") == "postgresql")
        .collect();
    assert_eq!(attempts.len(), 3, "{spans:?}");
    assert!(
        attempts
            .iter()
            .all(|attempt| is_error(attempt) && attempt.parent_span_id == root.span_id)
    );
    assert!(
        spans
            .iter()
            .any(|span| attribute(span, "db.system.name") == "redis"),
        "the quota check has a span: {spans:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_requests_are_kept_and_fast_ones_are_not() {
    let app = TestApp::start().await;
    let ((fast, fast_traceparent), (slow, slow_traceparent)) = (new_trace(false), new_trace(false));
    let request = app.request(Method::GET, "/v1/test/slow?millis=0");
    assert_eq!(
        status_of(request.header("traceparent", fast_traceparent)).await,
        200
    );
    let request = app.request(Method::GET, "/v1/test/slow?millis=1100");
    assert_eq!(
        status_of(request.header("traceparent", slow_traceparent)).await,
        200
    );
    // Spans are exported in order: once the later one has arrived, the earlier one would have, too.
    wait_for_spans(&slow, |spans| {
        spans.iter().any(|span| span.name == "GET /v1/test/slow")
    })
    .await;
    let spans = testkit::spans();
    assert!(!spans.iter().any(|span| hex(&span.trace_id) == fast));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_the_client_samples_is_kept_and_linked_by_an_exemplar() {
    let app = TestApp::start().await;
    let ((sampled, sampled_traceparent), (unsampled, unsampled_traceparent)) =
        (new_trace(true), new_trace(false));
    assert_eq!(
        status_of(
            app.write_request("k", &sample_note())
                .header("traceparent", unsampled_traceparent)
        )
        .await,
        201
    );
    let metrics = async || app.management("/metrics").await.text().await.expect("text");
    assert!(
        !metrics().await.contains(&unsampled),
        "an exemplar without a trace"
    );
    assert_eq!(
        status_of(
            app.write_request("l", &sample_note())
                .header("traceparent", sampled_traceparent)
        )
        .await,
        201
    );
    let spans = wait_for_spans(&sampled, |spans| {
        spans.iter().any(|span| span.name.starts_with("POST"))
    })
    .await;
    assert!(
        spans
            .iter()
            .any(|span| attribute(span, "db.operation.name") == "write_note"),
        "{spans:?}"
    );
    let bucket = metrics().await;
    let bucket = bucket
        .lines()
        .find(|line| line.contains(&sampled))
        .expect("an exemplar");
    assert!(
        bucket.starts_with("http_server_request_duration_seconds_bucket"),
        "{bucket}"
    );
}

/// The trace of a bug is kept, with the panic as an event.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_recorded_in_its_trace() {
    let app = TestApp::start().await;
    let response = app.get("/v1/test/panic").await;
    let problem = assert_problem(response, "/v1/test/panic", Method::GET, "internal").await;
    let trace_id = problem["trace_id"].as_str().expect("a trace id");
    let spans = wait_for_spans(trace_id, |spans| !spans.is_empty()).await;
    let events: Vec<_> = spans
        .iter()
        .flat_map(|span| &span.events)
        .map(|event| &event.name)
        .collect();
    assert!(events.iter().any(|event| *event == "panicked"), "{events:?}");
}

/// Otherwise any client could have each of its requests exported, and a full queue drops the failures.
#[tokio::test(flavor = "multi_thread")]
async fn the_sampled_flag_counts_only_from_trusted_proxies() {
    let app = TestApp::build().set("http.trusted_proxies", "none").start().await;
    let trusting = TestApp::start().await;
    let (ignored, from_client) = new_trace(true);
    let (kept, from_proxy) = new_trace(true);
    for (app, traceparent) in [(&app, from_client), (&trusting, from_proxy)] {
        let request = app.request(Method::GET, NOTES).header("traceparent", traceparent);
        assert_eq!(status_of(request).await, 200);
    }
    // Spans are exported in the order in which they end.
    wait_for_spans(&kept, |spans| !spans.is_empty()).await;
    let exported = testkit::spans();
    assert!(
        exported.iter().all(|span| hex(&span.trace_id) != ignored),
        "the flag of a client counted"
    );
}

/// A deadline that the client chose too short is not a failure of the service.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_missed_its_clients_own_deadline_is_not_kept_and_no_error() {
    let app = TestApp::start().await;
    let (ignored, traceparent) = new_trace(false);
    let request = app
        .request(Method::GET, "/v1/test/endless")
        .header("traceparent", traceparent);
    let request = request
        .header("x-request-timeout-ms", "100")
        .header("x-request-id", "traces-client");
    assert_eq!(status_of(request).await, 504);
    let (kept, traceparent) = new_trace(true);
    let request = app.request(Method::GET, NOTES).header("traceparent", traceparent);
    assert_eq!(status_of(request).await, 200);
    wait_for_spans(&kept, |spans| !spans.is_empty()).await;
    assert!(testkit::spans().iter().all(|span| hex(&span.trace_id) != ignored));
    let line = testkit::log_lines_of("traces-client").pop().expect("a line");
    assert_eq!(line["severity"], "INFO");
    let class = |class: &str| {
        format!(
            "http_server_responses_total{{http_request_method=\"GET\",http_route=\"/v1/test/endless\",code_class=\"{class}\"}}"
        )
    };
    assert_eq!(app.metric(&class("5xx")).await, 0.0);
    assert_eq!(app.metric(&class("client_deadline")).await, 1.0);
}
