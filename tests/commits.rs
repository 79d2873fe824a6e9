//! A client that hangs up leaves a whole effect or none, and a clean connection.

use std::time::Duration;

use reqwest::Method;
use testkit::{Mode, RawConnection, TestApp, note};

const WRITTEN: &str = "SELECT count(*) FROM test_notes";
const KEYS: &str = "SELECT count(*) FROM idempotency_keys";

/// A write, by hand.
pub fn post(app: &TestApp, key: &str) -> String {
    let body = note().to_string();
    format!(
        "POST /v1/test/notes HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\nidempotency-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        app.token("alice", "test:write"),
        body.len()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_began_is_completed_after_a_hang_up() {
    let app = TestApp::start().await;
    let lock = app.database.lock_notes().await;
    let mut connection = RawConnection::open(app.address).await;
    connection.send(post(&app, "k")).await;
    app.database.wait_for_lock_waiter().await;
    connection.reset();
    app.wait_for_in_flight(0).await;
    lock.release().await;
    app.database.wait_until(WRITTEN, |notes| notes == 1).await;
    assert_eq!(app.database.count(KEYS).await, 1);
}

/// Every round trip takes 5 ms, and the client is gone after each possible number of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_at_any_moment_leaves_all_or_nothing() {
    let app = TestApp::build()
        .postgres_proxy()
        .set("database.pool_size", "1")
        .start()
        .await;
    app.written().await;
    app.postgres
        .as_ref()
        .expect("asked for")
        .set(Mode::Delay(Duration::from_millis(5)));
    for moment in 0..30 {
        let mut connection = RawConnection::open(app.address).await;
        connection.send(post(&app, &format!("key-{moment}"))).await;
        // Not a wait for an event: the moment itself is what is tried.
        tokio::time::sleep(Duration::from_millis(2 * moment)).await;
        connection.reset();
        app.wait_for_in_flight(0).await;
        let lifecycle = &app.app.platform.lifecycle;
        assert!(lifecycle.finish_commit_sections(Duration::from_secs(5)).await);
    }
    let written = app.database.count(WRITTEN).await;
    assert!(written > 1, "no hang-up came late enough to leave an effect");
    assert_eq!(app.database.count(WRITTEN).await, app.database.count(KEYS).await);
    let idle_in_transaction = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    assert_eq!(app.database.count(idle_in_transaction).await, 0);
    assert_eq!(
        app.get("/v1/test/notes").await.status(),
        200,
        "the one connection is of use to the next"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_was_given_up_does_not_disturb_the_next() {
    let app = TestApp::build()
        .postgres_proxy()
        .set("database.pool_size", "1")
        .start()
        .await;
    let path = app.written().await;
    for _ in 0..5 {
        app.postgres
            .as_ref()
            .expect("asked for")
            .set(Mode::Delay(Duration::from_millis(100)));
        let request = app
            .request(Method::GET, "/v1/test/notes")
            .header("x-request-timeout-ms", "50");
        assert_eq!(request.send().await.expect("an answer").status(), 504);
        app.postgres.as_ref().expect("asked for").set(Mode::Pass);
        let note: serde_json::Value = app.get(&path).await.json().await.expect("JSON");
        assert_eq!(
            format!(
                "/v1/test/notes/{}",
                note["id"].as_str().expect("a note, not a list")
            ),
            path
        );
    }
}
