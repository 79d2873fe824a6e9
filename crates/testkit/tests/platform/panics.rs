//! Bugs become 500, are told once in the log with where they came from, and hurt nobody else.

use futures_util::future::join_all;
use reqwest::Method;
use testkit::{log_lines_of, notes::SERVICE};

use crate::{TestApp, assert_problem};

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_500_with_its_backtrace_in_the_log_once() {
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
    let answers = lines.iter().filter(|line| line["message"] == "answered").count();
    assert_eq!(answers, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_of_a_panic_are_unharmed() {
    let app = TestApp::start().await;
    let neighbours = join_all((0..20).map(|_| app.get("/v1/test/notes")));
    let panics = join_all((0..20).map(|_| app.get("/v1/test/panic")));
    let (neighbours, panics) = tokio::join!(neighbours, panics);
    assert!(neighbours.iter().all(|response| response.status() == 200));
    assert!(panics.iter().all(|response| response.status() == 500));
    assert_eq!(app.metric("http_server_active_requests").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_status_without_a_problem_is_a_bug_and_its_words_stay_inside() {
    let app = TestApp::start().await;
    let response = app.get("/v1/test/undesigned").await;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.text().await.expect("the answer is complete");
    let catalogue = SERVICE.definition().catalogue;
    // No operation can answer like this, so the contract knows nothing of it.
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
