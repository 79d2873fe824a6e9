//! A client that hangs up leaves a whole effect or none, and a clean connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use database::{Ended, Fault, Transaction, TransactionError, UnitOfWork};
use reqwest::Method;
use runtime::RequestContext;
use testkit::{
    Mode, RawConnection,
    notes::{NOTES, note},
};

use crate::{TestApp, assert_problem};

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

/// Commits that notify stand in line behind each other's flush to disk, and `lock_timeout` counts that as waiting for
/// a lock. A slow disk must not turn it into `contention`.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_waits_its_turn_for_as_long_as_the_request_may() {
    let app = TestApp::build()
        .set("database.lock_timeout", "50ms")
        .set("database.statement_timeout", "100ms")
        .start()
        .await;
    let line = app.database.hold_commits().await;
    let written = tokio::spawn(app.write_request("in-line", &note()).send());
    let longest =
        "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - query_start) * 1000), 0)::bigint
                   FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waited = app.database.wait_until(longest, |waited| waited > 300);
    let early = tokio::time::timeout(Duration::from_secs(5), waited).await;
    early.expect("the commit waits");
    line.release().await;
    let response = written.await.expect("no panic").expect("an answer");
    assert_eq!(response.status(), 201);
}

/// It is the server that ends the wait, so that the caller knows: nothing was written.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_waits_too_long_has_no_effect() {
    let app = TestApp::start().await;
    let line = app.database.hold_commits().await;
    let request = app
        .write_request("too-long", &note())
        .header("x-request-timeout-ms", "1000");
    let response = request.send().await.expect("an answer");
    assert_problem(response, NOTES, Method::POST, "contention").await;
    line.release().await;
    assert_eq!(app.database.count(WRITTEN).await, 0);
}

/// Fails like a serialization conflict the first times, with actions to follow each attempt's commit.
struct Contended {
    failures: AtomicU32,
    refused: bool,
    done: Arc<AtomicU32>,
}

impl UnitOfWork for Contended {
    const NAME: &'static str = "contended";
    type Output = ();
    type Refusal = Fault;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<Fault>> {
        transaction.after_commit(async |_| panic!("provoked-action-panic"));
        let done = self.done.clone();
        transaction.after_commit(async move |ended| {
            assert_eq!(ended, Ended::Committed);
            done.fetch_add(1, Ordering::Relaxed);
        });
        if self.refused {
            return Err(TransactionError::Refused(Fault::NoConnectionFree));
        }
        let left = self.failures.load(Ordering::Relaxed);
        if left > 0 {
            self.failures.store(left - 1, Ordering::Relaxed);
            let conflict = "DO $$ BEGIN RAISE EXCEPTION 'provoked' USING ERRCODE = '40001'; END $$";
            sqlx::query(conflict).execute(&mut **transaction).await?;
        }
        Ok(())
    }
}

/// An attempt that was repeated or refused has no commit for its actions to follow. One that panics spoils neither the next
/// nor the result.
#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_commit_follows_it_once_and_no_rollback() {
    let app = TestApp::start().await;
    let second = Duration::from_secs(1);
    let context = RequestContext::new("test".into(), "test".into(), tracing::Span::none(), second);
    for (refused, expected) in [(false, 1), (true, 0)] {
        let done = Arc::new(AtomicU32::new(0));
        let work = Contended {
            failures: AtomicU32::new(2),
            refused,
            done: done.clone(),
        };
        let result = app.app.platform.database.transaction(work, &context).await;
        assert_eq!(result.is_err(), refused, "{result:?}");
        assert_eq!(done.load(Ordering::Relaxed), expected);
    }
}
