//! A client that disconnects leaves a complete effect or none, and a usable database connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use database::{CommitOutcome, DatabaseError, Transaction, TransactionError, UnitOfWork};
use reqwest::Method;
use runtime::RequestContext;
use testkit::{
    Mode, RawConnection,
    notes::{NOTES, sample_note},
};

use crate::{TestApp, assert_problem};

const WRITTEN: &str = "SELECT count(*) FROM test_notes";
const KEYS: &str = "SELECT count(*) FROM idempotency_keys";

/// The bytes of a request that writes a note.
pub(crate) fn post(app: &TestApp, key: &str) -> String {
    let body = sample_note().to_string();
    format!(
        "POST /v1/test/notes HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\nidempotency-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        app.token("alice", "test:write"),
        body.len()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_has_begun_completes_after_the_client_disconnects() {
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

/// A round trip to Postgres takes 5 ms, so that the client disconnects at least once during each of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_disconnect_at_any_moment_leaves_all_or_nothing() {
    let app = TestApp::build()
        .postgres_proxy()
        .set("database.pool_size", "1")
        .start()
        .await;
    app.create_note().await;
    app.postgres
        .as_ref()
        .expect("built with a proxy")
        .set(Mode::Delay(Duration::from_millis(5)));
    for moment in 0..30 {
        let mut connection = RawConnection::open(app.address).await;
        connection.send(post(&app, &format!("key-{moment}"))).await;
        // Not a wait for an event: the test varies the moment of the disconnect.
        tokio::time::sleep(Duration::from_millis(2 * moment)).await;
        connection.reset();
        app.wait_for_in_flight(0).await;
        let lifecycle = &app.app.platform.lifecycle;
        assert!(lifecycle.drain(Duration::from_secs(5)).await);
    }
    let written = app.database.count(WRITTEN).await;
    assert!(written > 1, "no disconnect came late enough to leave an effect");
    assert_eq!(app.database.count(WRITTEN).await, app.database.count(KEYS).await);
    let idle_in_transaction = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    assert_eq!(app.database.count(idle_in_transaction).await, 0);
    assert_eq!(
        app.get("/v1/test/notes").await.status(),
        200,
        "the next request can use the only connection"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_read_does_not_affect_the_next_request() {
    let app = TestApp::build()
        .postgres_proxy()
        .set("database.pool_size", "1")
        // Each read asks Postgres.
        .set("cache.fresh_ttl", "0s")
        .start()
        .await;
    let path = app.create_note().await;
    for _ in 0..5 {
        app.postgres
            .as_ref()
            .expect("built with a proxy")
            .set(Mode::Delay(Duration::from_millis(100)));
        let request = app
            .request(Method::GET, "/v1/test/notes")
            .header("x-request-timeout-ms", "50");
        assert_eq!(request.send().await.expect("a response").status(), 504);
        app.postgres.as_ref().expect("built with a proxy").set(Mode::Pass);
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

/// A commit can wait for a lock of a deferred constraint, or for the flush of other commits if it sends a `NOTIFY`, and
/// `lock_timeout` counts that. It must not cause `contention`.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_may_wait_until_the_deadline_of_the_request() {
    let app = TestApp::build()
        .set("database.lock_timeout", "50ms")
        .set("database.statement_timeout", "100ms")
        .start()
        .await;
    let commit_lock = app.database.block_commits().await;
    let written = tokio::spawn(app.write_request("waiting", &sample_note()).send());
    let longest =
        "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - query_start) * 1000), 0)::bigint
                   FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waited = app.database.wait_until(longest, |waited| waited > 300);
    let waited = tokio::time::timeout(Duration::from_secs(5), waited).await;
    waited.expect("the commit waits");
    commit_lock.release().await;
    let response = written.await.expect("no panic").expect("a response");
    assert_eq!(response.status(), 201);
}

/// Postgres itself ends the wait, so the response can say that nothing was written.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_waits_too_long_has_no_effect() {
    let app = TestApp::start().await;
    let commit_lock = app.database.block_commits().await;
    let request = app
        .write_request("too-long", &sample_note())
        .header("x-request-timeout-ms", "1000");
    let response = request.send().await.expect("a response");
    assert_problem(response, NOTES, Method::POST, "contention").await;
    commit_lock.release().await;
    assert_eq!(app.database.count(WRITTEN).await, 0);
}

/// A unit of work that fails with a serialization error `failures` times, and that registers after-commit actions in
/// every attempt.
struct Contended {
    failures: AtomicU32,
    refused: bool,
    done: Arc<AtomicU32>,
}

impl UnitOfWork for Contended {
    const NAME: &'static str = "contended";
    type Output = ();
    type Refusal = DatabaseError;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<DatabaseError>> {
        transaction.after_commit(async |_| panic!("provoked-action-panic"));
        let done = self.done.clone();
        transaction.after_commit(async move |ended| {
            assert_eq!(ended, CommitOutcome::Committed);
            done.fetch_add(1, Ordering::Relaxed);
        });
        if self.refused {
            return Err(TransactionError::Refused(DatabaseError::PoolExhausted));
        }
        let remaining = self.failures.load(Ordering::Relaxed);
        if remaining > 0 {
            self.failures.store(remaining - 1, Ordering::Relaxed);
            let conflict = "DO $$ BEGIN RAISE EXCEPTION 'provoked' USING ERRCODE = '40001'; END $$";
            sqlx::query(conflict).execute(&mut **transaction).await?;
        }
        Ok(())
    }
}

/// An attempt that is retried or refused runs no after-commit action. An action that panics affects neither the next
/// action nor the result.
#[tokio::test(flavor = "multi_thread")]
async fn after_commit_actions_run_once_and_not_after_a_rollback() {
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

/// The response cannot say whether the commit took effect. The same key finds out: it gets the first response if the
/// commit took effect, and has the effect if it did not. The status is that of the body, whichever layer noticed that the
/// client's deadline had passed.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_finds_out_what_became_of_a_commit_with_an_unknown_outcome() {
    for takes_effect in [true, false] {
        let app = TestApp::build()
            .postgres_proxy()
            .set("http.deadline", "5s")
            .set("http.short_deadline", "5s")
            .start()
            .await;
        let lock = app.database.block_commits().await;
        let request = app.write_request("k", &sample_note());
        let writing = tokio::spawn(request.header("x-request-timeout-ms", "2500").send());
        app.database.wait_for_lock_waiter().await;
        let proxy = app.postgres.as_ref().expect("built with a proxy");
        proxy.set(Mode::Pause);
        let lock = if takes_effect {
            lock.release().await;
            None
        } else {
            Some(lock)
        };
        let response = writing.await.expect("no panic").expect("a response");
        let problem = assert_problem(response, NOTES, Method::POST, "client-deadline-exceeded").await;
        assert_eq!(problem["outcome"], "unknown");
        // Postgres has ended the wait by itself.
        drop(lock);
        proxy.set(Mode::Pass);
        assert_eq!(app.database.count(WRITTEN).await, i64::from(takes_effect));
        let repeated = app.write_with_key("k", &sample_note()).await;
        assert_eq!(repeated.status(), 201);
        assert_eq!(
            repeated.headers().contains_key("idempotency-replayed"),
            takes_effect
        );
        assert_eq!(app.database.count(WRITTEN).await, 1);
    }
}
