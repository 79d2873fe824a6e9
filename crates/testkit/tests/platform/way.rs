//! The way of a request: identity, deadline, and what it costs in round trips.

use std::time::Instant;

use reqwest::Method;
use testkit::{log_lines_of, notes::note};

use crate::{TestApp, assert_problem};

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_request_id_is_kept_and_another_rewritten() {
    let app = TestApp::start().await;
    let id_for = async |sent: &str| {
        let response = app
            .request(Method::GET, "/v1/test/notes")
            .header("x-request-id", sent)
            .send()
            .await;
        response.expect("an answer").headers()["x-request-id"]
            .to_str()
            .expect("ASCII")
            .to_owned()
    };
    assert_eq!(id_for("order-7:retry.1").await, "order-7:retry.1");
    for bad in ["with space", "<script>", &"x".repeat(129)] {
        let made = id_for(bad).await;
        assert!(uuid::Uuid::parse_str(&made).is_ok(), "{made}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callers_trace_is_continued_in_body_and_log() {
    let app = TestApp::start().await;
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = app
        .request(Method::GET, "/v1/test/notes/17")
        .header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-00"));
    let response = request.send().await.expect("an answer");
    let problem = assert_problem(response, "/v1/test/notes/{id}", Method::GET, "invalid-path").await;
    assert_eq!(problem["trace_id"], trace_id);
    assert_eq!(log_lines_of(trace_id).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callers_deadline_is_kept_between_the_least_and_the_largest() {
    let app = TestApp::build()
        .set("http.min_deadline", "150ms")
        .set("http.deadline", "400ms")
        .set("http.max_deadline", "700ms")
        .set("retry.attempts", "1")
        .set("upstream.attempt_timeout", "100ms")
        .set("database.acquire_timeout", "100ms")
        .set("database.lock_timeout", "100ms")
        .set("database.statement_timeout", "200ms")
        .start()
        .await;
    let waited = async |timeout: Option<&str>| {
        let asked = Instant::now();
        let mut request = app.request(Method::GET, "/v1/test/endless");
        if let Some(timeout) = timeout {
            request = request.header("x-request-timeout-ms", timeout);
        }
        let response = request.send().await.expect("an answer");
        assert_problem(response, "/v1/test/endless", Method::GET, "deadline-exceeded").await;
        asked.elapsed().as_millis()
    };
    // Each is told a little after its deadline by the net, 50 ms later, and never before.
    for (asked_for, least) in [
        (Some("1"), 150),
        (Some("300"), 300),
        (None, 400),
        (Some("60000"), 700),
    ] {
        let took = waited(asked_for).await;
        assert!(
            (least..least + 250).contains(&took),
            "{asked_for:?} took {took} ms"
        );
    }
    for wrong in ["0", "-1", "soon", "1.5"] {
        let request = app
            .request(Method::GET, "/v1/test/notes")
            .header("x-request-timeout-ms", wrong);
        let response = request.send().await.expect("an answer");
        let problem = assert_problem(response, "/v1/test/notes", Method::GET, "invalid-request").await;
        assert_eq!(problem["errors"][0]["header"], "X-Request-Timeout-Ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn private_answers_are_not_stored_by_anybody() {
    let app = TestApp::start().await;
    let path = app.written().await;
    assert_eq!(app.get(&path).await.headers()["cache-control"], "no-store");
}

/// The costs that docs/ARCHITECTURE.md states, with the reason for each.
#[tokio::test(flavor = "multi_thread")]
async fn round_trips_are_as_few_as_stated() {
    let app = TestApp::build()
        .postgres_proxy()
        .redis_proxy()
        .set("database.pool_size", "1")
        .start()
        .await;
    let (postgres, redis) = (
        app.postgres.as_ref().expect("asked for"),
        app.redis.as_ref().expect("asked for"),
    );
    let cost = async |request: reqwest::RequestBuilder| {
        let before = (postgres.round_trips(), redis.round_trips());
        let response = request.send().await.expect("an answer");
        assert!(response.status().is_success());
        app.redis_has_entries().await;
        (postgres.round_trips() - before.0, redis.round_trips() - before.1)
    };
    // Statements are prepared and scripts loaded once per connection.
    for _ in 0..2 {
        let path = app.written().await;
        app.get(&path).await;
        app.redis_has_entries().await;
        app.get(&path).await;
    }
    let write = app.write_request("key", &note());
    assert_eq!(
        cost(write).await,
        (5, 1),
        "BEGIN, key, insert, record, COMMIT; quota"
    );
    let path = app.written().await;
    assert_eq!(
        cost(app.request(Method::GET, &path)).await,
        (1, 3),
        "select; quota, lookup, and a store afterwards"
    );
    assert_eq!(
        cost(app.request(Method::GET, &path)).await,
        (0, 2),
        "nothing; quota, lookup"
    );
}
