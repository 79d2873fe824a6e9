//! Traces: what failed or was slow is kept whole though nothing is sampled here, the rest is not.

use reqwest::{Method, RequestBuilder};
use testkit::{
    CALLER, Mode, attribute, hex, is_error, new_trace,
    notes::{NOTES, note},
    wait_for_spans,
};

use crate::{TestApp, assert_problem};

async fn sent(request: RequestBuilder) -> u16 {
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_5xx_is_kept_with_every_attempt_though_its_caller_does_not_sample() {
    let app = TestApp::build().postgres_proxy().start().await;
    app.postgres.as_ref().expect("asked for").set(Mode::Cut);
    let (trace_id, traceparent) = new_trace(false);
    let request = app.request(Method::GET, NOTES).header("traceparent", traceparent);
    let response = request
        .header("x-request-id", "traced-1")
        .send()
        .await
        .expect("an answer");
    let problem = assert_problem(response, NOTES, Method::GET, "dependency-unavailable").await;
    assert_eq!(problem["trace_id"], trace_id.as_str());

    let root_name = format!("GET {NOTES}");
    let spans = wait_for_spans(&trace_id, |spans| spans.iter().any(|span| span.name == root_name)).await;
    let root = spans
        .iter()
        .find(|span| span.name == root_name)
        .expect("waited for");
    assert!(is_error(root), "{root:?}");
    assert_eq!(
        hex(&root.parent_span_id),
        CALLER,
        "it goes on where the caller was"
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
    assert!(!attribute(root, "cause").is_empty(), "what the log says, too");
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
        "the quota was asked for: {spans:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_slow_is_kept_and_what_was_fast_is_not() {
    let app = TestApp::start().await;
    let ((fast, as_fast), (slow, as_slow)) = (new_trace(false), new_trace(false));
    let request = app.request(Method::GET, "/v1/test/slow?millis=0");
    assert_eq!(sent(request.header("traceparent", as_fast)).await, 200);
    let request = app.request(Method::GET, "/v1/test/slow?millis=1100");
    assert_eq!(sent(request.header("traceparent", as_slow)).await, 200);
    // Spans are sent in order: where the later one is, the earlier one would be.
    wait_for_spans(&slow, |spans| {
        spans.iter().any(|span| span.name == "GET /v1/test/slow")
    })
    .await;
    let spans = testkit::spans();
    assert!(!spans.iter().any(|span| hex(&span.trace_id) == fast));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_caller_samples_is_kept_and_its_bucket_leads_to_it() {
    let app = TestApp::start().await;
    let ((sampled, as_sampled), (unsampled, as_unsampled)) = (new_trace(true), new_trace(false));
    assert_eq!(
        sent(
            app.write_request("k", &note())
                .header("traceparent", as_unsampled)
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
        sent(app.write_request("l", &note()).header("traceparent", as_sampled)).await,
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

/// A bug is kept with the panic and where it came from.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_told_in_its_trace() {
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
