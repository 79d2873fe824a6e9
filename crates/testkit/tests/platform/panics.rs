//! A bug becomes a 500, is logged once with its origin, and does not affect other requests.

use futures_util::future::join_all;
use reqwest::Method;
use testkit::{log_lines_of, notes::SERVICE};

use crate::{TestApp, assert_problem};

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_500_and_is_logged_once_with_its_backtrace() {
    let app = TestApp::start().await;
    let problem = assert_problem(
        app.get("/v1/test/panic").await,
        "/v1/test/panic",
        Method::GET,
        "internal",
    )
    .await;
    let trace_id = problem["trace_id"].as_str().expect("a trace id");
    let lines = log_lines_of(trace_id);
    let panics: Vec<_> = lines
        .iter()
        .filter(|line| line["message"] == "panicked")
        .collect();
    assert_eq!(panics.len(), 1, "{lines:?}");
    assert_eq!(panics[0]["panic"], "provoked-panic-marker");
    assert!(
        panics[0]["backtrace"]
            .as_str()
            .expect("a backtrace")
            .contains("testkit::notes::routes")
    );
    assert_eq!(app.metric("panics_total").await, 1.0);
    let labels = "http_request_method=\"GET\",http_route=\"/v1/test/panic\",\
                  http_response_status_code=\"500\",error_type=\"internal\"";
    let durations = format!("http_server_request_duration_seconds_count{{{labels}}}");
    assert_eq!(app.metric(&durations).await, 1.0);
    let completed = lines
        .iter()
        .filter(|line| line["message"] == "request completed")
        .count();
    assert_eq!(completed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_does_not_affect_concurrent_requests() {
    let app = TestApp::start().await;
    let others = join_all((0..20).map(|_| app.get("/v1/test/notes")));
    let panics = join_all((0..20).map(|_| app.get("/v1/test/panic")));
    let (others, panics) = tokio::join!(others, panics);
    assert!(others.iter().all(|response| response.status() == 200));
    assert!(panics.iter().all(|response| response.status() == 500));
    assert_eq!(app.metric("http_server_active_requests").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_status_without_a_problem_is_a_bug_and_its_body_is_not_sent() {
    let app = TestApp::start().await;
    let response = app.get("/v1/test/without-problem").await;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.text().await.expect("a complete body");
    let catalogue = SERVICE.definition().catalogue;
    // No operation can return such a response, so the contract does not declare it.
    let problem = testkit::assert_problem_parts(catalogue, (status, &headers, &body), "internal");
    let lines = log_lines_of(problem["trace_id"].as_str().expect("a trace id"));
    assert!(
        lines[0]["cause"]
            .as_str()
            .expect("a cause")
            .contains("not a problem"),
        "{lines:?}"
    );
}
