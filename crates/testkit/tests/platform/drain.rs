//! The way out: what was begun is finished.

use std::time::Duration;

use runtime::{Lifecycle, Phase};
use testkit::{RawConnection, notes::note};

use crate::TestApp;

use tokio::task::JoinHandle;

use crate::commits::post;

const WRITTEN: &str = "SELECT count(*) FROM test_notes";

/// Leaving does not end while something is left to finish.
async fn waits(lifecycle: &Lifecycle, leaving: &mut JoinHandle<()>) {
    while lifecycle.phase() != Phase::Draining {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ended = tokio::time::timeout(Duration::from_millis(300), leaving).await;
    assert!(ended.is_err(), "left with work unfinished");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_answered_before_the_process_ends() {
    let app = TestApp::build()
        .set("shutdown.readiness_wait", "0s")
        .start()
        .await;
    let lock = app.database.lock_notes().await;
    let writing = tokio::spawn(app.write_request("k", &note()).send());
    app.database.wait_for_lock_waiter().await;

    let lifecycle = app.app.platform.lifecycle.clone();
    let mut leaving = tokio::spawn(app.app.shut_down());
    waits(&lifecycle, &mut leaving).await;
    lock.release().await;
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
    let lock = app.database.lock_notes().await;
    let mut connection = RawConnection::open(app.address).await;
    connection.send(post(&app, "k")).await;
    app.database.wait_for_lock_waiter().await;
    connection.reset();
    app.wait_for_in_flight(0).await;

    let lifecycle = app.app.platform.lifecycle.clone();
    let mut leaving = tokio::spawn(app.app.shut_down());
    waits(&lifecycle, &mut leaving).await;
    lock.release().await;
    leaving.await.expect("no panic");
    assert_eq!(app.database.count(WRITTEN).await, 1);
}
