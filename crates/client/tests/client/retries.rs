//! What is sent again, when, and how often.

use std::time::{Duration, Instant};

use client::{Failure, Key, Method, Sent, Settings};
use proptest::prelude::*;
use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any, method},
};

use crate::{Code, Notes, client, problem, requests_to, server_with, settings};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever the response, a write without a key is sent once.
    #[test]
    fn a_post_without_a_key_is_never_sent_twice(status in 200u16..600, retryable: bool, as_problem: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let response = if as_problem {
                problem("overloaded", status, retryable)
            } else {
                ResponseTemplate::new(status)
            };
            let server = server_with(response.insert_header("retry-after", "0")).await;
            let _ = client(&server, settings()).write(Sent::Once).await;
            assert_eq!(requests_to(&server).await, 1);
        });
    }
}

#[tokio::test]
async fn a_post_with_a_key_is_retried_with_the_same_key() {
    let server = server_with(problem("overloaded", 503, true)).await;
    client(&server, settings())
        .write(Sent::UnderKey(&Key::from("the-key")))
        .await
        .expect_err("it stays overloaded");
    let keys: Vec<_> = server
        .received_requests()
        .await
        .expect("recorded")
        .iter()
        .map(|request| request.headers["idempotency-key"].clone())
        .collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0]));
}

#[tokio::test]
async fn a_problem_that_is_not_retryable_is_not_retried() {
    let server = server_with(problem("note-gone", 410, false)).await;
    let error = client(&server, settings()).read().await.expect_err("gone");
    assert_eq!((error.attempts.len(), requests_to(&server).await), (1, 1));
    assert_eq!(error.problem().expect("a problem").code, Code::NoteGone);
    assert_eq!(error.user_message(), "This note is gone.");
}

#[tokio::test]
async fn a_retry_waits_as_long_as_retry_after_asks_for() {
    let server = MockServer::start().await;
    let busy = problem("quota-exceeded", 429, true).insert_header("retry-after", "2");
    Mock::given(method("GET"))
        .respond_with(busy)
        .up_to_n_times(1)
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .respond_with(problem("note-gone", 410, false))
        .mount(&server)
        .await;
    let began = Instant::now();
    let error = client(&server, settings()).read().await.expect_err("gone");
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(error.attempts.len(), 2);
    assert!(error.attempts[1].waited >= Duration::from_secs(2));
}

#[tokio::test]
async fn a_wait_past_the_deadline_fails_immediately() {
    for wait in ["60", "Fri, 31 Dec 2100 23:59:59 GMT"] {
        let server = server_with(problem("overloaded", 503, true).insert_header("retry-after", wait)).await;
        let began = Instant::now();
        let error = client(&server, settings()).read().await.expect_err("overloaded");
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(requests_to(&server).await, 1, "{wait}: {:?}", error.attempts);
    }
}

#[tokio::test]
async fn the_retry_budget_holds_when_the_server_is_down() {
    let client = Notes::at(
        "http://127.0.0.1:1",
        Settings {
            retry_budget: 0.1,
            ..settings()
        },
    );
    let mut attempts = 0;
    for _ in 0..1_000 {
        let error = client.read().await.expect_err("no server listens on the port");
        assert!(matches!(error.failure, Failure::Transport(_)), "{error}");
        attempts += error.attempts.len();
    }
    assert!(attempts <= 1_100, "{attempts} attempts for 1000 calls");
}

#[tokio::test]
async fn a_cached_response_has_its_age_and_never_replaces_a_refusal() {
    let server = MockServer::start().await;
    let page = ResponseTemplate::new(200).set_body_json(json!({ "text": "t" }));
    Mock::given(any())
        .respond_with(page)
        .up_to_n_times(1)
        .mount(&server)
        .await;
    let client = client(
        &server,
        Settings {
            stale_entries: 10,
            attempts: 1,
            ..settings()
        },
    );
    assert!(client.read().await.expect("fresh").stale_for.is_none());
    Mock::given(any())
        .respond_with(problem("overloaded", 503, true))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    assert!(client.read().await.expect("cached").stale_for.is_some());
    Mock::given(any())
        .respond_with(problem("forbidden", 403, false))
        .mount(&server)
        .await;
    client.read().await.expect_err("a refusal");
}

#[tokio::test]
async fn errors_contain_the_details_for_a_report_and_no_secrets() {
    let server = server_with(problem("a-code-of-next-year", 503, true)).await;
    let client = client(&server, settings());
    let error = client
        .write(Sent::UnderKey(&Key::from("the-key")))
        .await
        .expect_err("refused");
    let report = error.to_string();
    for part in [
        "POST",
        "/notes",
        "503",
        "a-code-of-next-year",
        "the-key",
        &error.request_id,
        "4bf92f3577b34da6a3ce929d0e0e4736",
    ] {
        assert!(report.contains(part), "{part} in {report}");
    }
    assert_eq!(error.attempts.len(), 3);
    let ids: Vec<_> = server
        .received_requests()
        .await
        .expect("recorded")
        .iter()
        .map(|request| request.headers["x-request-id"].clone())
        .collect();
    assert!(ids.iter().all(|id| *id == error.request_id.as_str()));
    assert_eq!(
        error.problem().expect("a problem").code.to_string(),
        "a-code-of-next-year"
    );
    let printed = format!("{client:?} {error:?} {report}");
    assert!(!printed.contains("planted"), "{printed}");
}

#[tokio::test]
async fn a_hanging_server_times_out() {
    let server = server_with(ResponseTemplate::new(200).set_delay(Duration::from_secs(30))).await;
    let error = client(&server, settings()).read().await.expect_err("it hangs");
    assert!(matches!(error.failure, Failure::TimedOut));
    assert_eq!(error.attempts.len(), 3);
}

#[tokio::test]
async fn a_response_that_violates_the_contract_is_an_error() {
    let server = server_with(ResponseTemplate::new(200).set_body_json(json!({ "text": 7 }))).await;
    let deleted = client(&server, settings()).delete().await;
    deleted.expect("the response to a deletion is not checked");
    let error = client(&server, settings()).read().await.expect_err("no note");
    assert!(matches!(error.failure, Failure::Invalid(_)), "{error}");
    assert_eq!((&error.method, error.attempts.len()), (&Method::GET, 1));
    let seen = &server.received_requests().await.expect("recorded")[1];
    assert_eq!(seen.headers["x-request-id"], error.request_id.as_str());
}
