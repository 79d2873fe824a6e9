//! Workers as processes: killed, stopped, poisoned. Nothing is lost, effects happen once.

use std::time::{Duration, Instant};

use testkit::{Environment, Server, notes::Poison};
use uuid::Uuid;

const NOTES: &str = "SELECT count(*) FROM test_notes";
/// From the death of a worker until its job runs again.
const AGAIN_WITHIN: Duration = Duration::from_secs(30);

async fn environment() -> Environment {
    let environment = Environment::new(env!("CARGO_BIN_EXE_test-service")).await;
    environment
        .database
        .migrate(testkit::notes::SERVICE.definition().schema)
        .await;
    environment
}

async fn worker(environment: &Environment) -> Server {
    let worker = environment.work();
    worker.wait_for_probe("/readyz", 200).await;
    worker
}

async fn started(environment: &Environment, id: Uuid, attempt: i32) {
    let began = Instant::now();
    while environment.database.job(id).await.1 < attempt {
        assert!(
            began.elapsed() < AGAIN_WITHIN,
            "not started within {AGAIN_WITHIN:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_worker_is_killed_runs_again_and_has_one_effect() {
    let environment = environment().await;
    let id = environment.database.enqueue_effect(1_500).await;
    let first = worker(&environment).await;
    started(&environment, id, 1).await;
    first.signal("KILL");
    drop(first);
    let _second = worker(&environment).await;
    started(&environment, id, 2).await;
    assert_eq!(environment.database.wait_for_job(id, "succeeded").await.0, 2);
    assert_eq!(environment.database.count(NOTES).await, 1);
}

/// With one job at a time the second is claimed with the first, and waits in the worker.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_claimed_and_not_started_when_its_worker_was_killed_runs() {
    let environment = environment().await.set("jobs.concurrency", "1");
    let running = environment.database.enqueue_effect(3_000).await;
    let waiting = environment.database.enqueue_effect(0).await;
    let first = worker(&environment).await;
    started(&environment, running, 1).await;
    let claimed = "SELECT count(*) FROM graphile_worker._private_jobs WHERE locked_at IS NOT NULL";
    environment
        .database
        .wait_until(claimed, |claimed| claimed == 2)
        .await;
    first.signal("KILL");
    drop(first);
    assert_eq!(environment.database.job(waiting).await.1, 0, "it was not started");
    let _second = worker(&environment).await;
    assert_eq!(environment.database.wait_for_job(waiting, "succeeded").await.0, 1);
    environment.database.wait_for_job(running, "succeeded").await;
    assert_eq!(environment.database.count(NOTES).await, 2);
}

/// The effect is in the transaction that is held up; killed there, it is rolled back, and the next attempt has it.
#[tokio::test(flavor = "multi_thread")]
async fn killed_between_effect_and_completion_there_is_one_effect() {
    let environment = environment().await;
    let lock = environment.database.lock_notes().await;
    let id = environment.database.enqueue_effect(0).await;
    let first = worker(&environment).await;
    environment.database.wait_for_lock_waiter().await;
    first.signal("KILL");
    drop(first);
    lock.release().await;
    let _second = worker(&environment).await;
    environment.database.wait_for_job(id, "succeeded").await;
    assert_eq!(environment.database.count(NOTES).await, 1);
}

/// Stopped past its lease, a worker loses its job to another one; resumed, it must not record a second success.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stopped_past_its_lease_records_nothing() {
    let environment = environment().await;
    let mut first = worker(&environment).await;
    let id = environment.database.enqueue_effect(1_000).await;
    started(&environment, id, 1).await;
    first.signal("STOP");
    let _second = worker(&environment).await;
    assert_eq!(environment.database.wait_for_job(id, "succeeded").await.0, 2);
    first.signal("CONT");
    assert_eq!(
        first.wait().code(),
        Some(75),
        "it has found out that its lease is over"
    );
    assert_eq!(environment.database.job(id).await.1, 2);
    assert_eq!(environment.database.count(NOTES).await, 1);
}

/// A job that aborts its process, or never yields, costs the worker its life each time; others go on.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_kill_their_process_die_of_it() {
    for poison in [Poison::Abort, Poison::Spin] {
        let environment = environment().await;
        let id = environment.database.enqueue_poison(poison).await;
        // Two starts, and a delivery that finds it out of attempts.
        for _ in 0..2 {
            let mut worker = environment.work();
            let ended = worker.wait();
            assert!(!ended.success(), "{poison:?}");
        }
        let _survivor = worker(&environment).await;
        let other = environment.database.enqueue_poison(Poison::Works).await;
        environment.database.wait_for_job(other, "succeeded").await;
        let (attempt, error) = environment.database.wait_for_job(id, "dead").await;
        assert_eq!(attempt, 2, "{poison:?}");
        assert!(
            error.contains("the last attempt never told how it ended"),
            "{poison:?}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sigterm_a_job_is_handed_back_and_it_costs_no_attempt() {
    let environment = environment().await;
    let id = environment.database.enqueue_effect(60_000).await;
    let mut first = worker(&environment).await;
    started(&environment, id, 1).await;
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
    let left = sqlx::query_scalar::<_, i32>(allowed)
        .fetch_one(&mut environment.database.connect().await)
        .await;
    assert_eq!(
        left.expect("a number"),
        5,
        "{:?}",
        environment.database.job(id).await
    );
}
