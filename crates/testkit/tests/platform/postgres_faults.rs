//! Postgres unavailable, slow, full or busy: typed problems, no leaks, and recovery as soon as Postgres recovers.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use testkit::{
    Mode,
    notes::{NOTES, sample_note},
};

use crate::{TestApp, assert_problem, catalogue::make_read_only};

const COUNT: &str = "SELECT count(*) FROM test_notes";

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_503_and_recovery_needs_no_restart() {
    let app = TestApp::build().postgres_proxy().start().await;
    let proxy = app.postgres.as_ref().expect("built with a proxy");
    let path = app.create_note().await;

    proxy.set(Mode::Cut);
    assert_problem(app.get(NOTES).await, NOTES, Method::GET, "dependency-unavailable").await;
    assert_problem(
        app.write(&sample_note()).await,
        NOTES,
        Method::POST,
        "dependency-unavailable",
    )
    .await;
    assert_eq!(app.management("/livez").await.status(), 200);
    assert_eq!(
        app.management("/readyz").await.status(),
        200,
        "an outage that all replicas share makes none of them unready"
    );

    proxy.set(Mode::Pass);
    let restored = Instant::now();
    while app.get(&path).await.status() != 200 {
        assert!(
            restored.elapsed() < Duration::from_secs(2),
            "no recovery within two seconds"
        );
    }
    assert_eq!(app.write(&sample_note()).await.status(), 201);
}

/// A server that never responds must not get more and more connections.
#[tokio::test(flavor = "multi_thread")]
async fn an_unresponsive_server_is_not_flooded_with_connections() {
    let app = TestApp::build().postgres_unavailable().start().await;
    let proxy = app.postgres.as_ref().expect("built with a proxy");
    proxy.set(Mode::Pause);
    let before = proxy.accepted();
    let client = async || {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(1) {
            assert_eq!(app.get(NOTES).await.status(), 503);
        }
    };
    join_all((0..8).map(|_| client())).await;
    let opened = proxy.accepted() - before;
    // Four for requests; the others are for health checks.
    assert!(
        (1..=8).contains(&opened),
        "{opened} connections for 8 concurrent clients"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_lost_while_idle_fail_no_request() {
    let app = TestApp::start().await;
    join_all((0..4).map(|_| app.get(NOTES))).await;
    app.database.terminate_connections().await;
    let (trace_id, traceparent) = testkit::new_trace(false);
    let request = app.request(Method::GET, NOTES).header("traceparent", traceparent);
    assert_eq!(request.send().await.expect("a response").status(), 200);
    // One lost connection is noticed; the other idle ones are presumed lost.
    assert_eq!(testkit::log_lines_of(&trace_id)[0]["attempts"], 2);
    app.database.terminate_connections().await;
    assert_eq!(app.write(&sample_note()).await.status(), 201);
    assert_eq!(app.database.count(COUNT).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_during_a_query_is_504_in_time_and_leaks_no_connection() {
    let app = TestApp::build().postgres_proxy().start().await;
    let proxy = app.postgres.as_ref().expect("built with a proxy");
    assert_eq!(app.get(NOTES).await.status(), 200);
    let backend = app.database.backend_of("SELECT * FROM test_notes").await;
    proxy.set(Mode::Pause);
    let request = |_| {
        app.request(Method::GET, NOTES)
            .header("x-request-timeout-ms", "400")
            .send()
    };
    let sent = Instant::now();
    let mut during_query = 0;
    for response in join_all((0..3).map(request)).await {
        let response = response.expect("a response");
        // One request had a connection; for the others, none can be opened in time.
        let code = if response.status() == 504 {
            "client-deadline-exceeded"
        } else {
            "dependency-unavailable"
        };
        during_query += u32::from(response.status() == 504);
        assert_problem(response, NOTES, Method::GET, code).await;
    }
    assert!(during_query >= 1);
    // The client's deadline applies, not the configured one.
    let took = sent.elapsed();
    assert!(took < app.settings.http.deadline, "{took:?}");
    proxy.set(Mode::Pass);
    app.database.wait_for_backend_exit(backend).await;
    assert_eq!(app.get(NOTES).await.status(), 200);
    assert_eq!(
        app.metric("db_client_connection_count{db_client_connection_pool_name=\"requests\",db_client_connection_state=\"used\"}")
            .await,
        0.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_exhausted_by_locks_is_overloaded_quickly_and_not_retried() {
    let app = TestApp::start().await;
    let _lock = app.database.lock_notes().await;
    let stuck: Vec<_> = (0..4)
        .map(|_| tokio::spawn(app.request(Method::GET, NOTES).send()))
        .collect();
    app.database.wait_for_lock_waiters(4).await;

    let sent = Instant::now();
    assert_problem(app.get(NOTES).await, NOTES, Method::GET, "overloaded").await;
    // A retry would wait for a connection a second time.
    let took = sent.elapsed();
    assert!(took < 2 * app.settings.database.acquire_timeout, "{took:?}");
    assert_eq!(app.metric("retry_attempts_total{").await, 0.0);
    assert!(app.metric("db_client_connection_timeouts_total").await >= 1.0);
    for probe in ["/livez", "/readyz"] {
        assert_eq!(app.management(probe).await.status(), 200, "{probe}");
    }
    for response in stuck {
        let response = response.await.expect("no panic").expect("a response");
        assert_problem(response, NOTES, Method::GET, "contention").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_over_its_timeout_is_504() {
    let app = TestApp::build()
        .set("database.statement_timeout", "150ms")
        .set("database.lock_timeout", "100ms")
        .start()
        .await;
    app.database.slow_inserts(0.5).await;
    assert_problem(
        app.write(&sample_note()).await,
        NOTES,
        Method::POST,
        "deadline-exceeded",
    )
    .await;
    assert_eq!(
        app.metric("db_client_errors_total{sqlstate=\"57014\"}").await,
        1.0
    );
    assert_eq!(app.database.count(COUNT).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn serialization_failures_are_retried_and_have_one_effect() {
    let app = TestApp::start().await;
    app.database.fail_inserts("40001", 2).await;
    assert_eq!(app.write(&sample_note()).await.status(), 201);
    assert_eq!(
        app.metric("retry_attempts_total{dependency=\"postgres\",reason=\"serialization\"}")
            .await,
        2.0
    );
    assert_eq!(app.database.count(COUNT).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_retried_and_has_one_effect() {
    let app = TestApp::start().await;
    app.database
        .execute(
            "CREATE FUNCTION lock_two() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               PERFORM pg_advisory_xact_lock(1); PERFORM pg_advisory_xact_lock(2); RETURN NEW; END $$;
             CREATE TRIGGER lock_two BEFORE INSERT ON test_notes FOR EACH ROW EXECUTE FUNCTION lock_two();",
        )
        .await;
    // Postgres checks for deadlocks after 1 s by default; it has to find this one before the lock timeout.
    app.database
        .set_for_new_connections("deadlock_timeout", "100ms")
        .await;
    let mut other = app.database.connect().await;
    sqlx::query("SET deadlock_timeout = '10s'")
        .execute(&mut other)
        .await
        .expect("a setting");
    sqlx::query("BEGIN")
        .execute(&mut other)
        .await
        .expect("a transaction");
    sqlx::query("SELECT pg_advisory_xact_lock(2)")
        .execute(&mut other)
        .await
        .expect("the first lock");

    let writing = tokio::spawn(app.write_request("k", &sample_note()).send());
    app.database.wait_for_lock_waiter().await;
    sqlx::query("SELECT pg_advisory_xact_lock(1)")
        .execute(&mut other)
        .await
        .expect("the app is the victim");
    sqlx::query("COMMIT")
        .execute(&mut other)
        .await
        .expect("the locks are released");

    assert_eq!(
        writing.await.expect("no panic").expect("a response").status(),
        201
    );
    assert_eq!(
        app.metric("retry_attempts_total{dependency=\"postgres\",reason=\"deadlock\"}")
            .await,
        1.0
    );
    assert_eq!(app.database.count(COUNT).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_during_commit_means_an_unknown_outcome() {
    let app = TestApp::build().postgres_proxy().start().await;
    // The commit itself waits for this lock, so that the test can cut the connection during the commit.
    app.database
        .execute(
            "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               PERFORM pg_advisory_xact_lock(7); RETURN NEW; END $$;
             CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON test_notes DEFERRABLE INITIALLY DEFERRED
               FOR EACH ROW EXECUTE FUNCTION at_commit();",
        )
        .await;
    let mut lock = app.database.connect().await;
    sqlx::query("SELECT pg_advisory_lock(7)")
        .execute(&mut lock)
        .await
        .expect("a lock");
    let writing = tokio::spawn(app.write_request("k", &sample_note()).send());
    app.database.wait_for_lock_waiter().await;
    app.postgres.as_ref().expect("built with a proxy").set(Mode::Cut);
    let response = writing.await.expect("no panic").expect("a response");
    let problem = assert_problem(response, NOTES, Method::POST, "dependency-unavailable").await;
    assert_eq!(problem["outcome"], "unknown");
    assert_eq!(problem["retryable"], true);
}

/// A refused connection is not a failed statement, whatever its SQLSTATE, and open connections stay usable.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_new_connections_is_unavailable_and_open_ones_stay_usable() {
    let app = TestApp::start().await;
    let lock = app.database.lock_notes().await;
    let first = tokio::spawn(app.request(Method::GET, NOTES).send());
    app.database.wait_for_lock_waiter().await;
    app.database.reject_connections().await;
    // This request needs a second connection.
    assert_problem(app.get(NOTES).await, NOTES, Method::GET, "dependency-unavailable").await;
    lock.release().await;
    first.await.expect("no panic").expect("a response");
    assert_eq!(app.get(NOTES).await.status(), 200);
}

/// A connection keeps the settings it was opened with, so the process must close one that refused a write.
#[tokio::test(flavor = "multi_thread")]
async fn writes_succeed_without_a_restart_once_the_database_is_writable_again() {
    let app = TestApp::start().await;
    make_read_only(&app).await;
    join_all((0..4).map(|_| app.get(NOTES))).await;
    assert_problem(
        app.write(&sample_note()).await,
        NOTES,
        Method::POST,
        "database-read-only",
    )
    .await;
    app.database
        .reset_for_new_connections("default_transaction_read_only")
        .await;
    let restored = Instant::now();
    while app.write(&sample_note()).await.status() != 201 {
        assert!(
            restored.elapsed() < Duration::from_secs(2),
            "still read-only, but only for this process"
        );
    }
}
