//! The lifecycle of a request: its id, trace and deadline, and its cost in round trips.

use std::time::Instant;

use reqwest::Method;
use testkit::{log_lines_of, notes::sample_note};

use crate::{TestApp, assert_problem};

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_request_id_is_kept_and_an_invalid_one_is_replaced() {
    let app = TestApp::start().await;
    let id_for = async |sent: &str| {
        let response = app
            .request(Method::GET, "/v1/test/notes")
            .header("x-request-id", sent)
            .send()
            .await;
        response.expect("a response").headers()["x-request-id"]
            .to_str()
            .expect("ASCII")
            .to_owned()
    };
    assert_eq!(id_for("order-7:retry.1").await, "order-7:retry.1");
    for invalid in ["with space", "<script>", &"x".repeat(129)] {
        let generated = id_for(invalid).await;
        assert!(uuid::Uuid::parse_str(&generated).is_ok(), "{generated}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_trace_is_continued_in_body_and_log() {
    let app = TestApp::start().await;
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = app
        .request(Method::GET, "/v1/test/notes/17")
        .header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-00"));
    let response = request.send().await.expect("a response");
    let problem = assert_problem(response, "/v1/test/notes/{id}", Method::GET, "invalid-path").await;
    assert_eq!(problem["trace_id"], trace_id);
    assert_eq!(log_lines_of(trace_id).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_deadline_is_limited_to_the_configured_range() {
    let app = TestApp::build()
        .set("http.min_deadline", "150ms")
        .set("http.deadline", "400ms")
        .set("http.max_deadline", "700ms")
        .set("retry.max_attempts", "1")
        .set("partner.attempt_timeout", "100ms")
        .set("database.acquire_timeout", "100ms")
        .set("database.lock_timeout", "100ms")
        .set("database.statement_timeout", "200ms")
        .start()
        .await;
    let waited = async |timeout: Option<&str>| {
        let sent = Instant::now();
        let mut request = app.request(Method::GET, "/v1/test/endless");
        if let Some(timeout) = timeout {
            request = request.header("x-request-timeout-ms", timeout);
        }
        let response = request.send().await.expect("a response");
        let took = sent.elapsed().as_millis();
        let problem = response.json::<serde_json::Value>().await.expect("a problem");
        (took, problem["code"].as_str().expect("a code").to_owned())
    };
    // The deadline layer responds 50 ms after the deadline, never before it. A deadline that the client chose shorter
    // than the service's is not a failure of the service.
    for (requested, least, expected) in [
        (Some("1"), 150, "client-deadline-exceeded"),
        (Some("300"), 300, "client-deadline-exceeded"),
        (None, 400, "deadline-exceeded"),
        (Some("60000"), 700, "deadline-exceeded"),
    ] {
        let (took, code) = waited(requested).await;
        assert_eq!(code, expected, "{requested:?}");
        assert!(
            (least..least + 250).contains(&took),
            "{requested:?} took {took} ms"
        );
    }
    for invalid in ["0", "-1", "soon", "1.5"] {
        let request = app
            .request(Method::GET, "/v1/test/notes")
            .header("x-request-timeout-ms", invalid);
        let response = request.send().await.expect("a response");
        let problem = assert_problem(response, "/v1/test/notes", Method::GET, "invalid-request").await;
        assert_eq!(problem["errors"][0]["header"], "X-Request-Timeout-Ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn private_responses_must_not_be_stored() {
    let app = TestApp::start().await;
    let path = app.create_note().await;
    assert_eq!(app.get(&path).await.headers()["cache-control"], "no-store");
}

/// The round trips of each kind of request to Postgres and Redis, with the reason for each trip.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_makes_no_more_round_trips_than_necessary() {
    let app = TestApp::build()
        .postgres_proxy()
        .redis_proxy()
        .set("database.pool_size", "1")
        .start()
        .await;
    let (postgres, redis) = (
        app.postgres.as_ref().expect("built with a proxy"),
        app.redis.as_ref().expect("built with a proxy"),
    );
    let cost = async |request: reqwest::RequestBuilder| {
        let before = (postgres.round_trips(), redis.round_trips());
        let response = request.send().await.expect("a response");
        assert!(response.status().is_success());
        app.wait_for_cache_writes().await;
        (postgres.round_trips() - before.0, redis.round_trips() - before.1)
    };
    // A warm-up: statements are prepared and scripts loaded once per connection.
    for _ in 0..2 {
        let path = app.create_note().await;
        app.get(&path).await;
        app.wait_for_cache_writes().await;
        app.get(&path).await;
    }
    let write = app.write_request("key", &sample_note());
    assert_eq!(
        cost(write).await,
        (5, 1),
        "BEGIN, key, insert, record, COMMIT; quota"
    );
    let path = app.create_note().await;
    assert_eq!(
        cost(app.request(Method::GET, &path)).await,
        (1, 3),
        "select; quota, lookup, and a store afterwards"
    );
    assert_eq!(
        cost(app.request(Method::GET, &path)).await,
        (0, 2),
        "none; quota, lookup"
    );
}
