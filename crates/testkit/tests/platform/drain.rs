//! Graceful shutdown: work that has started is finished.

use std::time::Duration;

use runtime::{Lifecycle, Phase};
use testkit::{RawConnection, notes::sample_note};

use crate::TestApp;

use tokio::task::JoinHandle;

use crate::commits::post;

const WRITTEN: &str = "SELECT count(*) FROM test_notes";

/// Asserts that the shutdown does not end while work is unfinished.
async fn assert_waits(lifecycle: &Lifecycle, shutdown: &mut JoinHandle<()>) {
    while lifecycle.phase() != Phase::Draining {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ended = tokio::time::timeout(Duration::from_millis(300), shutdown).await;
    assert!(ended.is_err(), "the shutdown ended with unfinished work");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_gets_its_response_before_the_shutdown_ends() {
    let app = TestApp::build()
        .set("shutdown.deregistration_delay", "0s")
        .start()
        .await;
    let lock = app.database.lock_notes().await;
    let writing = tokio::spawn(app.write_request("k", &sample_note()).send());
    app.database.wait_for_lock_waiter().await;

    let lifecycle = app.app.platform.lifecycle.clone();
    let mut shutdown = tokio::spawn(app.app.shutdown());
    assert_waits(&lifecycle, &mut shutdown).await;
    lock.release().await;
    let response = writing.await.expect("no panic").expect("a response");
    assert_eq!(response.status(), 201);
    shutdown.await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_critical_section_is_finished_after_its_client_disconnected() {
    let app = TestApp::build()
        .set("shutdown.deregistration_delay", "0s")
        .start()
        .await;
    let lock = app.database.lock_notes().await;
    let mut connection = RawConnection::open(app.address).await;
    connection.send(post(&app, "k")).await;
    app.database.wait_for_lock_waiter().await;
    connection.reset();
    app.wait_for_in_flight(0).await;

    let lifecycle = app.app.platform.lifecycle.clone();
    let mut shutdown = tokio::spawn(app.app.shutdown());
    assert_waits(&lifecycle, &mut shutdown).await;
    lock.release().await;
    shutdown.await.expect("no panic");
    assert_eq!(app.database.count(WRITTEN).await, 1);
}
