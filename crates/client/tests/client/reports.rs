//! What a caller learns about its call: in errors, values and events.

use std::time::Duration;

use client::{Caller, Failure, Key, Sent, Settings, TokenProvider};
use serde_json::json;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::{Code, Notes, client, events_of, problem, requests_to, server_with, settings};

/// A client must be able to follow the advice after a lost response with what the error carries.
#[tokio::test]
async fn an_error_keeps_the_key_and_says_whether_the_write_may_have_taken_effect() {
    let unknown = json!({
        "type": "/problems/dependency-unavailable", "title": "t", "status": 503, "detail": "d",
        "code": "dependency-unavailable", "request_id": "r", "trace_id": "t", "retryable": true, "outcome": "unknown"
    });
    let unknown = ResponseTemplate::new(503).set_body_json(unknown);
    let hanging = ResponseTemplate::new(201).set_delay(Duration::from_secs(30));
    let refused = problem("note-gone", 410, false);
    for (response, is_unknown) in [(unknown, true), (hanging, true), (refused, false)] {
        let server = server_with(response).await;
        let key = Key::new();
        let error = client(&server, settings()).write(Sent::UnderKey(&key)).await;
        let error = error.expect_err("it fails");
        assert_eq!(error.idempotency_key.as_ref(), Some(&key));
        assert_eq!(error.outcome_unknown(), is_unknown, "{error}");
    }
}

/// The first attempt may have taken effect, whatever the second gets.
#[tokio::test]
async fn a_refusal_after_a_lost_response_leaves_the_outcome_unknown() {
    let server = MockServer::start().await;
    let hanging = ResponseTemplate::new(201).set_delay(Duration::from_secs(30));
    Mock::given(any())
        .respond_with(hanging)
        .up_to_n_times(1)
        .mount(&server)
        .await;
    Mock::given(any())
        .respond_with(problem("note-gone", 410, false))
        .mount(&server)
        .await;
    let error = client(&server, settings())
        .write(Sent::UnderKey(&Key::new()))
        .await;
    let error = error.expect_err("refused");
    assert_eq!(error.attempts.len(), 2, "{error}");
    assert!(error.outcome_unknown(), "{error}");
}

/// A response of the wrong shape is described without what it contains.
#[tokio::test]
async fn an_invalid_response_is_not_quoted() {
    let planted = ResponseTemplate::new(201).set_body_json(json!({ "text": ["planted-secret"] }));
    let server = server_with(planted).await;
    let error = client(&server, settings())
        .write(Sent::UnderKey(&Key::new()))
        .await;
    let error = error.expect_err("not a note").to_string();
    assert!(error.contains("unexpected shape at `text`"), "{error}");
    assert!(!error.contains("planted-secret"), "{error}");
}

#[tokio::test]
async fn the_age_that_the_service_reports_is_kept() {
    let server = MockServer::start().await;
    let stale = ResponseTemplate::new(200).set_body_json(json!({ "text": "t" }));
    Mock::given(any())
        .respond_with(stale.insert_header("age", "120"))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    let settings = Settings {
        stale_entries: 10,
        attempts: 1,
        ..settings()
    };
    let client = client(&server, settings);
    let first = client.read().await.expect("stale");
    assert_eq!(first.stale_for, Some(Duration::from_mins(2)));
    Mock::given(any())
        .respond_with(problem("overloaded", 503, true))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    let cached = client.read().await.expect("cached").stale_for.expect("an age");
    assert!(cached >= Duration::from_mins(2), "{cached:?}");
    // A bug must not hide behind an old value.
    Mock::given(any())
        .respond_with(problem("internal", 500, false))
        .mount(&server)
        .await;
    client.read().await.expect_err("a bug");
}

/// A provider whose tokens are used once.
struct Numbered(std::sync::atomic::AtomicUsize);

impl TokenProvider for Numbered {
    fn token(&self) -> futures_util::future::BoxFuture<'_, Result<String, String>> {
        let number = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let token = if number < 3 {
            Ok(format!("token-{number}"))
        } else {
            Err("signed out".to_owned())
        };
        Box::pin(std::future::ready(token))
    }
}

#[tokio::test]
async fn each_attempt_has_a_token_and_the_time_that_is_left() {
    let server = server_with(problem("overloaded", 503, true).insert_header("retry-after", "0")).await;
    let caller: Caller<Code> = Caller::new(&server.uri(), Numbered(0.into()), settings()).expect("a caller");
    let notes = Notes(caller);
    notes.read().await.expect_err("overloaded");
    let requests = server.received_requests().await.expect("recorded");
    for (number, request) in requests.iter().enumerate() {
        assert_eq!(request.headers["authorization"], format!("Bearer token-{number}"));
        let left = request.headers["x-request-timeout-ms"].to_str().expect("ASCII");
        let left: u64 = left.parse().expect("milliseconds");
        assert!((1..=300).contains(&left), "{left}");
    }
    let error = notes.read().await.expect_err("no token");
    assert!(
        matches!(&error.failure, Failure::NoToken(reason) if reason == "signed out"),
        "{error}"
    );
    assert_eq!(requests_to(&server).await, 3, "nothing is sent without a token");
}

#[tokio::test]
async fn every_attempt_is_an_event_also_of_a_call_that_succeeds() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(problem("overloaded", 503, true).insert_header("retry-after", "0"))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(201).set_body_json(json!({ "text": "planted-reply" })))
        .mount(&server)
        .await;
    let key = Key::new();
    client(&server, settings())
        .write(Sent::UnderKey(&key))
        .await
        .expect("written");
    let requests = server.received_requests().await.expect("recorded");
    let id = requests[0].headers["x-request-id"].to_str().expect("ASCII");
    let lines = events_of(id);
    let attempts: Vec<&str> = lines
        .lines()
        .filter(|line| line.contains("attempt completed"))
        .collect();
    assert_eq!(attempts.len(), 2, "{lines}");
    assert!(
        attempts[0].contains("overloaded") && attempts[1].contains("outcome=\"ok\""),
        "{lines}"
    );
    assert!(
        attempts[1].contains("{text: string(13)}") && attempts[1].contains("waited_ms"),
        "{lines}"
    );
    assert!(!lines.contains("planted"), "{lines}");
}
