//! Workers as processes that are killed, stopped or given poison jobs: no job is lost, and effects happen once.

use std::time::{Duration, Instant};

use testkit::{ProcessEnvironment, Server, notes::FailingJob};
use uuid::Uuid;

const NOTES: &str = "SELECT count(*) FROM test_notes";
/// The limit from the death of a worker until its job runs again.
const RECOVERY_LIMIT: Duration = Duration::from_secs(30);

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

async fn wait_for_attempt(environment: &ProcessEnvironment, id: Uuid, attempt: i32) {
    let started = Instant::now();
    while environment.database.job(id).await.1 < attempt {
        assert!(
            started.elapsed() < RECOVERY_LIMIT,
            "attempt {attempt} did not start within {RECOVERY_LIMIT:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_worker_is_killed_runs_again_and_has_one_effect() {
    let environment = environment().await;
    let id = environment.database.enqueue_note_job(1_500).await;
    let first = worker(&environment).await;
    wait_for_attempt(&environment, id, 1).await;
    first.signal("KILL");
    drop(first);
    let _second = worker(&environment).await;
    wait_for_attempt(&environment, id, 2).await;
    assert_eq!(environment.database.wait_for_job(id, "succeeded").await.0, 2);
    assert_eq!(environment.database.count(NOTES).await, 1);
}

/// With a concurrency of 1, the worker claims the second job along with the first and lets it wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_claimed_but_not_started_by_a_killed_worker_runs() {
    let environment = environment().await.set("jobs.concurrency", "1");
    let running = environment.database.enqueue_note_job(3_000).await;
    let waiting = environment.database.enqueue_note_job(0).await;
    let first = worker(&environment).await;
    wait_for_attempt(&environment, running, 1).await;
    let claimed = "SELECT count(*) FROM graphile_worker._private_jobs WHERE locked_at IS NOT NULL";
    environment
        .database
        .wait_until(claimed, |claimed| claimed == 2)
        .await;
    first.signal("KILL");
    drop(first);
    assert_eq!(
        environment.database.job(waiting).await.1,
        0,
        "the waiting job was not started"
    );
    let _second = worker(&environment).await;
    assert_eq!(environment.database.wait_for_job(waiting, "succeeded").await.0, 1);
    environment.database.wait_for_job(running, "succeeded").await;
    assert_eq!(environment.database.count(NOTES).await, 2);
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
/// a second success.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stopped_past_its_lease_records_nothing() {
    let environment = environment().await;
    let mut first = worker(&environment).await;
    let id = environment.database.enqueue_note_job(1_000).await;
    wait_for_attempt(&environment, id, 1).await;
    first.signal("STOP");
    let _second = worker(&environment).await;
    assert_eq!(environment.database.wait_for_job(id, "succeeded").await.0, 2);
    first.signal("CONT");
    assert_eq!(
        first.wait().code(),
        Some(75),
        "the worker exits because its lease has expired"
    );
    assert_eq!(environment.database.job(id).await.1, 2);
    assert_eq!(environment.database.count(NOTES).await, 1);
}

/// A job that aborts its process or never yields ends its worker each time; other jobs still succeed.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_its_process_is_dead_after_its_attempts() {
    for poison in [FailingJob::Abort, FailingJob::Spin] {
        let environment = environment().await;
        let id = environment.database.enqueue_failing_job(poison).await;
        // Two attempts, each of which ends a worker; the next delivery finds that none are left.
        for _ in 0..2 {
            let mut worker = environment.work();
            let ended = worker.wait();
            assert!(!ended.success(), "{poison:?}");
        }
        let _survivor = worker(&environment).await;
        let other = environment.database.enqueue_failing_job(FailingJob::Works).await;
        environment.database.wait_for_job(other, "succeeded").await;
        let (attempt, error) = environment.database.wait_for_job(id, "dead").await;
        assert_eq!(attempt, 2, "{poison:?}");
        assert!(
            error.contains("the last attempt never reported a result"),
            "{poison:?}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sigterm_a_job_is_released_without_costing_an_attempt() {
    let environment = environment().await;
    let id = environment.database.enqueue_note_job(60_000).await;
    let mut first = worker(&environment).await;
    wait_for_attempt(&environment, id, 1).await;
    let terminated = Instant::now();
    first.signal("TERM");
    assert!(first.wait().success());
    assert!(
        terminated.elapsed() < Duration::from_secs(15),
        "{:?}",
        terminated.elapsed()
    );
    assert_eq!(environment.database.job(id).await.0, "queued");
    let allowed = "SELECT attempts_allowed - attempt FROM job_runs WHERE kind = 'test_effect'";
    let remaining = sqlx::query_scalar::<_, i32>(allowed)
        .fetch_one(&mut environment.database.connect().await)
        .await;
    assert_eq!(
        remaining.expect("a number"),
        5,
        "{:?}",
        environment.database.job(id).await
    );
}
