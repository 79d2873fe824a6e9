//! Idempotency: an intended effect happens once, no matter how often the request is sent.

use futures_util::future::join_all;
use reqwest::Method;
use testkit::notes::sample_note;

use crate::{TestApp, assert_problem};

const COUNT: &str = "SELECT count(*) FROM test_notes";

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_returns_the_same_response_without_a_second_effect() {
    let app = TestApp::start().await;
    let first = app.write_with_key("same", &sample_note()).await;
    let second = app.write_with_key("same", &sample_note()).await;
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (201, 201));
    assert!(!first.headers().contains_key("idempotency-replayed"));
    assert_eq!(second.headers()["idempotency-replayed"], "true");
    assert_eq!(first.headers()["location"], second.headers()["location"]);
    assert_eq!(
        first.text().await.expect("a body"),
        second.text().await.expect("a body")
    );
    assert_eq!(app.database.count(COUNT).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_differs_only_in_white_space_is_a_replay() {
    let app = TestApp::start().await;
    assert_eq!(app.write_with_key("same", &sample_note()).await.status(), 201);
    let text = r#" { "text" :  "remember the milk" } "#;
    let request = app
        .request(Method::POST, "/v1/test/notes")
        .header("idempotency-key", "same");
    let response = request
        .header("content-type", "application/json; charset=utf-8")
        .body(text)
        .send()
        .await;
    assert_eq!(
        response.expect("a response").headers()["idempotency-replayed"],
        "true"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_concurrent_duplicates_have_one_effect() {
    let app = TestApp::start().await;
    let note = sample_note();
    let responses = join_all((0..50).map(|_| app.write_with_key("same", &note))).await;
    let mut locations = Vec::new();
    for response in responses {
        if response.status() == 201 {
            locations.push(response.headers()["location"].clone());
        } else {
            assert_problem(
                response,
                "/v1/test/notes",
                Method::POST,
                "idempotency-in-progress",
            )
            .await;
        }
    }
    locations.dedup();
    assert_eq!(locations.len(), 1);
    assert_eq!(app.database.count(COUNT).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_of_two_subjects_is_two_keys() {
    let app = TestApp::start().await;
    for subject in ["alice", "bob"] {
        let request = app
            .request_as(subject, Method::POST, "/v1/test/notes")
            .header("idempotency-key", "same");
        assert_eq!(
            request
                .json(&sample_note())
                .send()
                .await
                .expect("a response")
                .status(),
            201
        );
    }
    assert_eq!(app.database.count(COUNT).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_key_can_be_used_again() {
    let app = TestApp::start().await;
    let first = app.write_with_key("same", &sample_note()).await;
    app.database
        .execute("UPDATE idempotency_keys SET expires_at = now() - interval '1 second'")
        .await;
    let mut other = sample_note();
    other["text"] = "another".into();
    let second = app.write_with_key("same", &other).await;
    assert_eq!(second.status(), 201);
    assert_ne!(first.headers()["location"], second.headers()["location"]);
    assert_eq!(
        app.write_with_key("same", &other).await.headers()["idempotency-replayed"],
        "true"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_request_is_not_recorded() {
    let app = TestApp::start().await;
    let mut invalid = sample_note();
    invalid["text"] = "".into();
    assert_eq!(app.write_with_key("same", &invalid).await.status(), 400);
    assert_eq!(app.write_with_key("same", &sample_note()).await.status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_not_recorded() {
    let app = TestApp::start().await;
    app.database.fail_inserts("53100", 1).await;
    assert_problem(
        app.write_with_key("same", &sample_note()).await,
        "/v1/test/notes",
        Method::POST,
        "storage-exhausted",
    )
    .await;
    assert_eq!(app.write_with_key("same", &sample_note()).await.status(), 201);
    assert_eq!(app.database.count(COUNT).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_must_be_visible_ascii_of_limited_length() {
    let app = TestApp::start().await;
    for key in ["", "with space", &"x".repeat(256)] {
        let problem = assert_problem(
            app.write_with_key(key, &sample_note()).await,
            "/v1/test/notes",
            Method::POST,
            "invalid-request",
        )
        .await;
        assert_eq!(problem["errors"][0]["header"], "Idempotency-Key");
    }
}

/// The same key and body for another resource is a different request, not a replay.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_the_resource_in_the_path() {
    const COPIES: &str = "/v1/test/notes/{id}/copies";
    let app = TestApp::start().await;
    let (one, other) = (app.create_note().await, app.create_note().await);
    let copy = async |note: &str, key: &str| {
        let request = app.request(Method::POST, &format!("{note}/copies"));
        request
            .header("idempotency-key", key)
            .send()
            .await
            .expect("a response")
    };
    let first = copy(&one, "same").await;
    assert_eq!(first.status(), 201);
    let replay = copy(&one, "same").await;
    assert_eq!(replay.headers()["idempotency-replayed"], "true");
    assert_problem(
        copy(&other, "same").await,
        COPIES,
        Method::POST,
        "idempotency-key-reused",
    )
    .await;
    assert_eq!(copy(&other, "another").await.status(), 201);
    assert_eq!(app.database.count(COUNT).await, 4);
}

/// A refusal that depends on the state is recorded like a success: the same key gets it again when the state has changed,
/// with the ids of the repeated request.
#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_refusal_is_repeated_after_the_state_has_changed() {
    const COPIES: &str = "/v1/test/notes/{id}/copies";
    let app = TestApp::start().await;
    let id = uuid::Uuid::now_v7();
    let copy = async |key: &str| {
        let request = app.request(Method::POST, &format!("/v1/test/notes/{id}/copies"));
        let sent = request.header("idempotency-key", key).send().await;
        sent.expect("a response")
    };
    let first = assert_problem(copy("same").await, COPIES, Method::POST, "route-not-found").await;
    app.database
        .execute(&format!(
            "INSERT INTO test_notes (id, text) VALUES ('{id}', 'late')"
        ))
        .await;
    let second = assert_problem(copy("same").await, COPIES, Method::POST, "route-not-found").await;
    assert_eq!(first["detail"], second["detail"]);
    assert_ne!(first["request_id"], second["request_id"]);
    assert_eq!(app.database.count(COUNT).await, 1, "no copy");
    assert_eq!(copy("another").await.status(), 201);

    // Of a release that has another name for it: the request runs again.
    app.database
        .execute("UPDATE idempotency_keys SET body = 'Renamed' WHERE key = 'same'")
        .await;
    app.database
        .execute("DELETE FROM test_notes WHERE copy_of IS NOT NULL")
        .await;
    assert_eq!(copy("same").await.status(), 201);
    assert_eq!(copy("same").await.headers()["idempotency-replayed"], "true");
}
