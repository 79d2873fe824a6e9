//! The way out: what was begun is finished.

use platform::lifecycle::Phase;
use testkit::{RawConnection, TestApp, note};

use crate::commits::post;

const WRITTEN: &str = "SELECT count(*) FROM test_notes";

/// Holds up every write until it is dropped.
async fn hold_up(app: &TestApp) -> sqlx::PgConnection {
    let mut lock = app.database.connect().await;
    sqlx::query("BEGIN")
        .execute(&mut lock)
        .await
        .expect("a transaction");
    sqlx::query("LOCK TABLE test_notes")
        .execute(&mut lock)
        .await
        .expect("a lock");
    lock
}

async fn draining(lifecycle: &platform::lifecycle::Lifecycle) {
    while lifecycle.phase() != Phase::Draining {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_answered_before_the_process_ends() {
    let app = TestApp::build()
        .set("shutdown.readiness_wait", "0s")
        .start()
        .await;
    let mut lock = hold_up(&app).await;
    let writing = tokio::spawn(app.write_request("k", &note()).send());
    app.database.wait_for_lock_waiter().await;

    let lifecycle = app.app.platform.lifecycle.clone();
    let leaving = tokio::spawn(app.app.shut_down());
    draining(&lifecycle).await;
    sqlx::query("COMMIT")
        .execute(&mut lock)
        .await
        .expect("the lock is given back");
    let response = writing.await.expect("no panic").expect("an answer");
    assert_eq!(response.status(), 201);
    leaving.await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_section_whose_caller_is_gone_is_finished_too() {
    let app = TestApp::build()
        .set("shutdown.readiness_wait", "0s")
        .start()
        .await;
    let mut lock = hold_up(&app).await;
    let mut connection = RawConnection::open(app.app.public.address).await;
    connection.send(post(&app, "k")).await;
    app.database.wait_for_lock_waiter().await;
    connection.reset();
    app.wait_for_in_flight(0).await;

    let lifecycle = app.app.platform.lifecycle.clone();
    let leaving = tokio::spawn(app.app.shut_down());
    draining(&lifecycle).await;
    sqlx::query("COMMIT")
        .execute(&mut lock)
        .await
        .expect("the lock is given back");
    leaving.await.expect("no panic");
    assert_eq!(app.database.count(WRITTEN).await, 1);
}
