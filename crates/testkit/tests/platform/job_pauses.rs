//! Kinds whose dependency is unavailable: one run probes, the others wait without being tried.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::TestApp;

/// The job finds its dependency unavailable while there is this note.
const UNAVAILABLE: &str = "INSERT INTO test_notes (id, text) VALUES (gen_random_uuid(), 'unavailable')";
const AVAILABLE: &str = "DELETE FROM test_notes WHERE text = 'unavailable'";
const PAUSED: &str = "SELECT count(*) FROM job_pauses WHERE kind = 'test_dependent'";
const STARTS: &str = "SELECT COALESCE(sum(attempt), 0)::bigint FROM job_runs WHERE kind = 'test_dependent'";

#[tokio::test(flavor = "multi_thread")]
async fn while_a_dependency_is_unavailable_one_run_at_a_time_probes() {
    let app = TestApp::build()
        .worker()
        .set("jobs.max_queued", "500")
        .start()
        .await;
    app.database.execute(UNAVAILABLE).await;
    let id = app.database.enqueue("test_dependent", json!({}), 1_000).await;
    app.database.wait_until(PAUSED, |paused| paused == 1).await;
    // Runs that were claimed before the pause may still end.
    let running = "SELECT count(*) FROM job_runs WHERE kind = 'test_dependent' AND status = 'running'";
    app.database.wait_until(running, |running| running <= 1).await;
    let (before, began) = (app.database.count(STARTS).await, Instant::now());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let probes = app.database.count(STARTS).await - before;
    // The pause lasts a second, and a worker looks every second.
    assert!(
        (1..=6).contains(&probes),
        "{probes} probes in {:?}",
        began.elapsed()
    );

    let job: Value = app
        .get(&format!("/v1/jobs/{id}"))
        .await
        .json()
        .await
        .expect("JSON");
    assert_eq!(job["status"], "queued");
    assert!(job["postponed_until"].is_string(), "{job}");
    let charged =
        "SELECT COALESCE(sum(failures + crashes), 0)::bigint FROM job_runs WHERE kind = 'test_dependent'";
    assert_eq!(
        app.database.count(charged).await,
        0,
        "no run was charged with a failure"
    );
    let queue = &app.app.platform.queue;
    assert!(
        queue.admit().is_ok(),
        "runs that wait for a dependency do not fill the queue"
    );
    let other = app.database.enqueue("test_noop", json!({}), 1).await;
    app.database.wait_for_job(other, "succeeded").await;

    app.database.execute(AVAILABLE).await;
    let done = "SELECT count(*) FROM job_runs WHERE kind = 'test_dependent' AND status = 'succeeded'";
    app.database.wait_until(done, |done| done == 1_000).await;
    assert_eq!(app.database.count(PAUSED).await, 0);
}

/// A pause that no run waits for would delay the next run for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_when_no_run_waits() {
    let app = TestApp::build().worker().start().await;
    app.database
        .execute(
            "INSERT INTO job_pauses (kind, until, reason) VALUES ('test_dependent', now(), 'unavailable')",
        )
        .await;
    app.database.wait_until(PAUSED, |paused| paused == 0).await;
}
