//! Workers as processes that are killed, stopped or given poison jobs: no job is lost, and effects happen once.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{
    ProcessEnvironment, Server,
    notes::{FailingJob, Patient},
};

const NOTES: &str = "SELECT count(*) FROM test_notes";

async fn environment() -> ProcessEnvironment {
    let environment = ProcessEnvironment::new(env!("CARGO_BIN_EXE_test-service")).await;
    environment
        .database
        .migrate(testkit::notes::SERVICE.definition().schema)
        .await;
    environment
}

async fn worker(environment: &ProcessEnvironment) -> Server {
    let worker = environment.work();
    worker.wait_for_probe("/readyz", 200).await;
    worker
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_worker_is_killed_runs_again_and_has_one_effect() {
    let environment = environment().await;
    let id = environment.database.enqueue_note_job(1_500).await;
    let first = worker(&environment).await;
    environment.database.wait_for_attempt(id, 1).await;
    first.signal("KILL");
    drop(first);
    let _second = worker(&environment).await;
    environment.database.wait_for_attempt(id, 2).await;
    assert_eq!(environment.database.wait_for_job(id, "succeeded").await.0, 2);
    assert_eq!(environment.database.count(NOTES).await, 1);
}

/// The worker is killed while its transaction with the effect is blocked: the transaction is rolled back, and the next
/// attempt has the effect.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_between_effect_and_completion_leaves_one_effect() {
    let environment = environment().await;
    let lock = environment.database.lock_notes().await;
    let id = environment.database.enqueue_note_job(0).await;
    let first = worker(&environment).await;
    environment.database.wait_for_lock_waiter().await;
    first.signal("KILL");
    drop(first);
    lock.release().await;
    let _second = worker(&environment).await;
    environment.database.wait_for_job(id, "succeeded").await;
    assert_eq!(environment.database.count(NOTES).await, 1);
}

/// A worker that is stopped for longer than its lease loses its job to another worker. Once resumed, it must not record
/// a second success, and works on.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stopped_past_its_lease_records_nothing() {
    let environment = environment().await.set("jobs.lease", "2s");
    let first = worker(&environment).await;
    let id = environment.database.enqueue_note_job(1_000).await;
    environment.database.wait_for_attempt(id, 1).await;
    first.signal("STOP");
    let second = worker(&environment).await;
    assert_eq!(environment.database.wait_for_job(id, "succeeded").await.0, 2);
    drop(second);
    first.signal("CONT");
    first.wait_for_event("the leases of the worker have expired");
    assert_eq!(environment.database.job(id).await.1, 2);
    assert_eq!(environment.database.count(NOTES).await, 1);
    let next = environment.database.enqueue_note_job(0).await;
    assert_eq!(environment.database.wait_for_job(next, "succeeded").await.0, 1);
}

/// A job that aborts its process is dead after five crashes. Jobs that ran beside it are not: from the second crash on,
/// each of them runs alone. Other jobs succeed all the time.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_its_process_takes_no_other_job_with_it() {
    let environment = environment().await.set("jobs.lease", "1s");
    let poison = environment.database.enqueue_failing_job(FailingJob::Abort).await;
    let mut neighbours = Vec::new();
    for _ in 0..3 {
        neighbours.push(environment.database.enqueue_note_job(300).await);
    }
    let supervise = async {
        loop {
            let mut worker = environment.work();
            while worker.is_running() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    let watch = async {
        // From here on it runs alone, however many other jobs are claimed meanwhile.
        let suspect = format!("SELECT crashes::bigint FROM job_runs WHERE id = '{poison}'");
        environment
            .database
            .wait_until(&suspect, |crashes| crashes >= 2)
            .await;
        let enqueue_others = async {
            loop {
                environment.database.enqueue("test_noop", json!({}), 1).await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let (_, error) = tokio::select! {
            dead = environment.database.wait_for_job(poison, "dead") => dead,
            () = enqueue_others => unreachable!("it does not end"),
        };
        assert!(
            error.contains("the process ended while the job ran (5 times)"),
            "{error}"
        );
        let other = environment.database.enqueue_failing_job(FailingJob::Works).await;
        environment.database.wait_for_job(other, "succeeded").await;
        for neighbour in neighbours {
            environment.database.wait_for_job(neighbour, "succeeded").await;
        }
    };
    tokio::select! {
        () = supervise => {}
        () = watch => {}
    }
    assert_eq!(environment.database.count(NOTES).await, 3);
    let crashes = "SELECT max(crashes)::bigint FROM job_runs WHERE kind = 'test_effect'";
    let others = "SELECT max(crashes)::bigint FROM job_runs WHERE kind = 'test_noop'";
    assert_eq!(
        environment.database.count(others).await,
        0,
        "nothing runs beside a suspect"
    );
    assert!(
        environment.database.count(crashes).await <= 2,
        "neighbours ran alone in time"
    );
}

/// A job that computes without yielding cannot be aborted at its timeout. The process ends, after it has handed the other
/// jobs back.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_does_not_yield_ends_its_process_and_costs_no_other_job() {
    let environment = environment().await.set("shutdown.drain_timeout", "20s");
    let spinning = environment.database.enqueue_failing_job(FailingJob::Spin).await;
    let other = environment.database.enqueue_note_job(60_000).await;
    let mut worker = environment.work();
    environment.database.wait_for_attempt(other, 1).await;
    assert_eq!(worker.wait().code(), Some(70));
    let (status, attempts, error) = environment.database.job(spinning).await;
    assert_eq!((status.as_str(), attempts), ("queued", 1), "{error}");
    assert!(error.contains("does not yield"), "{error}");
    assert_eq!(environment.database.job(other).await.0, "queued");
    let charged = "SELECT sum(crashes + 10 * failures + 100 * postponements)::bigint FROM job_runs";
    assert_eq!(
        environment.database.count(charged).await,
        1,
        "one crash, of the job that does not yield"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sigterm_jobs_are_released_at_no_cost() {
    let environment = environment().await;
    let ids = [
        environment.database.enqueue_note_job(60_000).await,
        environment.database.enqueue_note_job(60_000).await,
    ];
    let mut first = worker(&environment).await;
    for id in ids {
        environment.database.wait_for_attempt(id, 1).await;
    }
    let terminated = Instant::now();
    first.signal("TERM");
    assert!(first.wait().success());
    assert!(
        terminated.elapsed() < Duration::from_secs(20),
        "{:?}",
        terminated.elapsed()
    );
    let released =
        "SELECT count(*) FROM job_runs WHERE kind = 'test_effect' AND status = 'queued' AND due_at <= now()
                    AND crashes + failures + postponements = 0";
    assert_eq!(environment.database.count(released).await, 2);
    let workers = "SELECT count(*) FROM job_workers";
    assert_eq!(
        environment.database.count(workers).await,
        0,
        "its registration is gone"
    );
}

/// One job computes without yielding when the process is terminated: the others are handed back, and it is, too.
#[tokio::test(flavor = "multi_thread")]
async fn on_sigterm_a_job_that_does_not_yield_keeps_no_other_job() {
    let environment = environment().await;
    let busy = environment
        .database
        .enqueue("test_patient", json!(Patient::Busy), 1)
        .await;
    let other = environment.database.enqueue_note_job(60_000).await;
    let mut first = worker(&environment).await;
    environment.database.wait_for_attempt(busy, 1).await;
    environment.database.wait_for_attempt(other, 1).await;
    first.signal("TERM");
    environment.database.wait_for_job(other, "queued").await;
    assert_eq!(
        environment.database.job(busy).await.0,
        "running",
        "the other job did not wait for it"
    );
    assert!(first.wait().success());
    assert_eq!(environment.database.job(busy).await.0, "queued");
    let charged =
        "SELECT sum(crashes + failures + postponements)::bigint FROM job_runs WHERE kind LIKE 'test%'";
    assert_eq!(environment.database.count(charged).await, 0);
}

/// Two workers on one queue: each run once, and both take part.
#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_the_queue() {
    let environment = environment().await;
    environment
        .database
        .enqueue("test_effect", json!({ "millis": 5 }), 400)
        .await;
    let _workers = [worker(&environment).await, worker(&environment).await];
    let done =
        "SELECT count(*) FROM job_runs WHERE kind = 'test_effect' AND status = 'succeeded' AND attempt = 1";
    environment.database.wait_until(done, |done| done == 400).await;
    assert_eq!(environment.database.count(NOTES).await, 400);
    let workers = "SELECT count(DISTINCT worker) FROM job_runs WHERE kind = 'test_effect'";
    assert_eq!(environment.database.count(workers).await, 2);
}

/// The response to a claim is lost: the run is marked as running, and no worker knows that it has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_claim_was_lost_runs_after_a_lease() {
    let environment = environment().await.set("jobs.lease", "1s");
    let _worker = worker(&environment).await;
    environment
        .database
        .execute(
            "INSERT INTO job_runs (id, kind, payload, status, attempt, worker, started_at)
             SELECT gen_random_uuid(), 'test_effect', '{\"millis\": 0}', 'running', 1, id, now() FROM job_workers",
        )
        .await;
    let done =
        "SELECT count(*) FROM job_runs WHERE kind = 'test_effect' AND status = 'succeeded' AND attempt = 2
                AND crashes + failures = 0";
    environment.database.wait_until(done, |done| done == 1).await;
}
