//! Suspects: runs during which a process has ended more than once.

use ::jobs::cancel;
use serde_json::json;
use testkit::TestDatabase;
use uuid::Uuid;

use crate::TestApp;

/// Enqueues a run that does nothing, as if two processes had ended during it.
async fn enqueue_suspect(database: &TestDatabase) -> Uuid {
    let id = Uuid::now_v7();
    database
        .execute(&format!(
            "INSERT INTO job_runs (id, kind, payload, crashes) VALUES ('{id}', 'test_noop', '{{}}', 2)"
        ))
        .await;
    id
}

/// A suspect waits until nothing else runs, and keeps the capacity free for that. If it is gone by then, the capacity
/// returns to other jobs.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspect_that_is_cancelled_while_it_waits_blocks_no_other_job() {
    let app = TestApp::build().worker().set("jobs.lease", "1s").start().await;
    let neighbour = app.database.enqueue_note_job(4_000).await;
    app.database.wait_for_attempt(neighbour, 1).await;
    let suspect = enqueue_suspect(&app.database).await;
    let reserved = format!("SELECT count(*) FROM job_runs WHERE id = '{suspect}' AND due_at > now()");
    app.database.wait_until(&reserved, |reserved| reserved == 1).await;
    let cancelled = cancel(&app.app.platform.database, suspect).await;
    assert!(cancelled.expect("Postgres responds").is_some());
    app.database.wait_for_job(neighbour, "succeeded").await;
    let next = app.database.enqueue("test_noop", json!({}), 1).await;
    app.database.wait_for_job(next, "succeeded").await;
}

/// The pause of a kind has ended, and its only run is a suspect, which is never a probe.
#[tokio::test(flavor = "multi_thread")]
async fn the_only_run_of_a_paused_kind_runs_although_it_is_a_suspect() {
    let app = TestApp::build().worker().set("jobs.lease", "1s").start().await;
    app.database
        .execute("INSERT INTO job_pauses (kind, until, reason) VALUES ('test_noop', now() + interval '1 s', 'unavailable')")
        .await;
    let suspect = enqueue_suspect(&app.database).await;
    app.database.wait_for_job(suspect, "succeeded").await;
    let pauses = "SELECT count(*) FROM job_pauses";
    app.database.wait_until(pauses, |pauses| pauses == 0).await;
}
