//! Postgres away, slow, full, busy: typed answers, no leaks, and back at once when it is back.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use testkit::{
    Mode,
    notes::{NOTES, note},
};

use crate::{TestApp, assert_problem, catalogue::make_read_only};

const COUNT: &str = "SELECT count(*) FROM test_notes";

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_back_is_503_and_2xx_without_a_restart() {
    let app = TestApp::build().postgres_proxy().start().await;
    let proxy = app.postgres.as_ref().expect("asked for");
    let path = app.written().await;

    proxy.set(Mode::Cut);
    assert_problem(app.get(NOTES).await, NOTES, Method::GET, "dependency-unavailable").await;
    assert_problem(
        app.write(&note()).await,
        NOTES,
        Method::POST,
        "dependency-unavailable",
    )
    .await;
    assert_eq!(app.management("/livez").await.status(), 200);
    assert_eq!(
        app.management("/readyz").await.status(),
        200,
        "a shared fault unreadies nobody"
    );

    proxy.set(Mode::Pass);
    let back = Instant::now();
    while app.get(&path).await.status() != 200 {
        assert!(
            back.elapsed() < Duration::from_secs(2),
            "not back within two seconds"
        );
    }
    assert_eq!(app.write(&note()).await.status(), 201);
}

/// A server that answers nobody is not asked by more and more connections.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lets_nobody_in_is_not_stormed() {
    let app = TestApp::build().postgres_away().start().await;
    let proxy = app.postgres.as_ref().expect("asked for");
    proxy.set(Mode::Pause);
    let before = proxy.accepted();
    let asking = async || {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(1) {
            assert_eq!(app.get(NOTES).await.status(), 503);
        }
    };
    join_all((0..8).map(|_| asking())).await;
    let opened = proxy.accepted() - before;
    // Four for requests; the others are those that look after the server.
    assert!(
        (1..=8).contains(&opened),
        "{opened} connections while 8 callers asked"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_died_while_idle_cost_no_request() {
    let app = TestApp::start().await;
    join_all((0..4).map(|_| app.get(NOTES))).await;
    app.database.disconnect_everybody().await;
    assert_eq!(app.get(NOTES).await.status(), 200);
    assert_eq!(
        app.metric("retry_attempts_total{dependency=\"postgres\",reason=\"connection\"}")
            .await,
        1.0
    );
    app.database.disconnect_everybody().await;
    assert_eq!(app.write(&note()).await.status(), 201);
    assert_eq!(app.database.count(COUNT).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_in_mid_query_is_504_in_time_and_leaks_no_connection() {
    let app = TestApp::build().postgres_proxy().start().await;
    let proxy = app.postgres.as_ref().expect("asked for");
    assert_eq!(app.get(NOTES).await.status(), 200);
    let backend = app.database.backend_of("SELECT * FROM test_notes").await;
    proxy.set(Mode::Pause);
    let request = |_| {
        app.request(Method::GET, NOTES)
            .header("x-request-timeout-ms", "400")
            .send()
    };
    let asked = Instant::now();
    let mut in_mid_query = 0;
    for response in join_all((0..3).map(request)).await {
        let response = response.expect("an answer");
        // One had a connection; for the others none can even be opened in time.
        let code = if response.status() == 504 {
            "deadline-exceeded"
        } else {
            "dependency-unavailable"
        };
        in_mid_query += u32::from(response.status() == 504);
        assert_problem(response, NOTES, Method::GET, code).await;
    }
    assert!(in_mid_query >= 1);
    // By the caller's deadline, not by the one of the configuration.
    let took = asked.elapsed();
    assert!(took < app.settings.http.deadline, "{took:?}");
    proxy.set(Mode::Pass);
    app.database.wait_for_end_of(backend).await;
    assert_eq!(app.get(NOTES).await.status(), 200);
    assert_eq!(
        app.metric("db_client_connection_count{pool=\"requests\",state=\"used\"}")
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

    let asked = Instant::now();
    assert_problem(app.get(NOTES).await, NOTES, Method::GET, "overloaded").await;
    // A retry would wait for a connection again.
    let took = asked.elapsed();
    assert!(took < 2 * app.settings.database.acquire_timeout, "{took:?}");
    assert_eq!(app.metric("retry_attempts_total{").await, 0.0);
    assert!(app.metric("db_client_connection_timeouts_total").await >= 1.0);
    for probe in ["/livez", "/readyz"] {
        assert_eq!(app.management(probe).await.status(), 200, "{probe}");
    }
    for response in stuck {
        let response = response.await.expect("no panic").expect("an answer");
        assert_problem(response, NOTES, Method::GET, "contention").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_over_its_time_is_504() {
    let app = TestApp::build()
        .set("database.statement_timeout", "150ms")
        .set("database.lock_timeout", "100ms")
        .start()
        .await;
    app.database.slow_inserts(0.5).await;
    assert_problem(app.write(&note()).await, NOTES, Method::POST, "deadline-exceeded").await;
    assert_eq!(
        app.metric("db_client_errors_total{sqlstate=\"57014\"}").await,
        1.0
    );
    assert_eq!(app.database.count(COUNT).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn serialization_failures_are_retried_to_one_effect() {
    let app = TestApp::start().await;
    app.database.fail_inserts("40001", 2).await;
    assert_eq!(app.write(&note()).await.status(), 201);
    assert_eq!(
        app.metric("retry_attempts_total{dependency=\"postgres\",reason=\"serialization\"}")
            .await,
        2.0
    );
    assert_eq!(app.database.count(COUNT).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_retried_to_one_effect() {
    let app = TestApp::start().await;
    app.database
        .execute(
            "CREATE FUNCTION lock_two() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               PERFORM pg_advisory_xact_lock(1); PERFORM pg_advisory_xact_lock(2); RETURN NEW; END $$;
             CREATE TRIGGER lock_two BEFORE INSERT ON test_notes FOR EACH ROW EXECUTE FUNCTION lock_two();",
        )
        .await;
    // The server looks for deadlocks only after a second; earlier, so that it finds ours before a lock timeout.
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

    let placing = tokio::spawn(app.write_request("k", &note()).send());
    app.database.wait_for_lock_waiter().await;
    sqlx::query("SELECT pg_advisory_xact_lock(1)")
        .execute(&mut other)
        .await
        .expect("the app is the victim");
    sqlx::query("COMMIT")
        .execute(&mut other)
        .await
        .expect("the locks are given back");

    assert_eq!(placing.await.expect("no panic").expect("an answer").status(), 201);
    assert_eq!(
        app.metric("retry_attempts_total{dependency=\"postgres\",reason=\"deadlock\"}")
            .await,
        1.0
    );
    assert_eq!(app.database.count(COUNT).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_at_commit_says_that_the_outcome_is_unknown() {
    let app = TestApp::build().postgres_proxy().start().await;
    // The commit itself waits for this lock, so that the test can cut the line behind it.
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
    let placing = tokio::spawn(app.write_request("k", &note()).send());
    app.database.wait_for_lock_waiter().await;
    app.postgres.as_ref().expect("asked for").set(Mode::Cut);
    let response = placing.await.expect("no panic").expect("an answer");
    let problem = assert_problem(response, NOTES, Method::POST, "dependency-unavailable").await;
    assert_eq!(problem["outcome"], "unknown");
    assert_eq!(problem["retryable"], true);
}

/// Whatever the server says to somebody who connects, no statement has failed, and who is in stays in.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lets_nobody_in_any_more_is_unavailable_and_keeps_whom_it_has() {
    let app = TestApp::start().await;
    let lock = app.database.lock_notes().await;
    let first = tokio::spawn(app.request(Method::GET, NOTES).send());
    app.database.wait_for_lock_waiter().await;
    app.database.admit_nobody().await;
    // Needs a second connection.
    assert_problem(app.get(NOTES).await, NOTES, Method::GET, "dependency-unavailable").await;
    lock.release().await;
    first.await.expect("no panic").expect("an answer");
    assert_eq!(app.get(NOTES).await.status(), 200);
}

/// A connection keeps what it was opened with, and so it must not outlive a refusal for that.
#[tokio::test(flavor = "multi_thread")]
async fn writable_again_it_takes_writes_without_a_restart() {
    let app = TestApp::start().await;
    make_read_only(&app).await;
    join_all((0..4).map(|_| app.get(NOTES))).await;
    assert_problem(
        app.write(&note()).await,
        NOTES,
        Method::POST,
        "database-read-only",
    )
    .await;
    app.database
        .reset_for_new_connections("default_transaction_read_only")
        .await;
    let back = Instant::now();
    while app.write(&note()).await.status() != 201 {
        assert!(
            back.elapsed() < Duration::from_secs(2),
            "still read-only, for this process alone"
        );
    }
}
