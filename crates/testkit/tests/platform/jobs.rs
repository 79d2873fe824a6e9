//! Jobs within one process, and how they fail. `workers.rs` tests workers as processes of their own.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Mode, log_lines, notes::FailingJob, wait_for_spans};

use crate::{TestApp, assert_problem};

/// Triggers a problem type of jobs, for the loop over the catalogue; returns whether `code` is one.
pub(crate) async fn trigger(code: &str) -> bool {
    if code != "job-not-found" {
        return false;
    }
    let app = TestApp::start().await;
    let response = app.get("/v1/jobs/01981f6e-7c1a-7a3e-9d55-3a0a2b6f6c10").await;
    assert_problem(response, "/v1/jobs/{id}", Method::GET, code).await;
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_job_is_dead_after_its_attempts_and_other_jobs_succeed() {
    let app = TestApp::build().worker().start().await;
    let cases = [
        (
            app.database.enqueue_failing_job(FailingJob::Error).await,
            "provoked-job-error",
        ),
        (
            app.database.enqueue_failing_job(FailingJob::Panic).await,
            "panicked: provoked-job-panic",
        ),
        (
            app.database.enqueue_failing_job(FailingJob::PanicInCommit).await,
            "panicked: provoked-commit-panic",
        ),
        (
            app.database.enqueue_failing_job(FailingJob::Endless).await,
            "no end after 500ms",
        ),
        (
            app.database
                .enqueue("test_poison", json!({ "newer": 2 }), 2, 1)
                .await,
            "the payload cannot be read",
        ),
        (
            app.database.enqueue("of_a_newer_release", json!({}), 2, 1).await,
            "no job of kind of_a_newer_release here",
        ),
    ];
    let works = app.database.enqueue_failing_job(FailingJob::Works).await;
    app.database.wait_for_job(works, "succeeded").await;
    for (id, error) in cases {
        let (attempt, last_error) = app.database.wait_for_job(id, "dead").await;
        assert_eq!(attempt, 2, "{error}");
        assert!(last_error.contains(error), "{last_error}");
    }
    assert_eq!(
        app.metric("jobs_finished_total{kind=\"test_poison\",outcome=\"dead\"}")
            .await,
        5.0
    );
    let started = Instant::now();
    while app.metric("jobs_dead").await != 6.0 {
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "jobs_dead does not become 6"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_job_can_be_retried_after_a_fix() {
    let app = TestApp::build().worker().start().await;
    let id = app.database.enqueue_failing_job(FailingJob::Error).await;
    app.database.wait_for_job(id, "dead").await;
    app.database
        .execute("UPDATE job_runs SET payload = '\"works\"' WHERE kind = 'test_poison'")
        .await;
    let database = &app.app.platform.database;
    assert!(::jobs::retry(database, id).await.expect("Postgres responds"));
    app.database.wait_for_job(id, "succeeded").await;
    assert!(
        !::jobs::retry(database, id).await.expect("Postgres responds"),
        "only failed jobs can be retried"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_recovers_by_itself_after_an_outage_of_postgres() {
    let app = TestApp::build().postgres_proxy().worker().start().await;
    let before = app.database.enqueue_failing_job(FailingJob::Works).await;
    app.database.wait_for_job(before, "succeeded").await;
    let proxy = app.postgres.as_ref().expect("built with a proxy");
    proxy.set(Mode::Cut);
    app.wait_for("/readyz", 503).await;
    let meanwhile = app.database.enqueue_failing_job(FailingJob::Works).await;
    proxy.set(Mode::Pass);
    app.database.wait_for_job(meanwhile, "succeeded").await;
    app.wait_for("/readyz", 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_queued_jobs_are_each_done_once() {
    let app = TestApp::build().worker().unmigrated().start().await;
    app.database
        .migrate(testkit::notes::SERVICE.definition().schema)
        .await;
    app.database.enqueue("test_noop", json!({}), 5, 10_000).await;
    let done =
        "SELECT count(*) FROM job_runs WHERE kind = 'test_noop' AND status = 'succeeded' AND attempt = 1";
    let started = Instant::now();
    while app.database.count(done).await < 10_000 {
        assert!(
            started.elapsed() < Duration::from_mins(1),
            "{} have succeeded",
            app.database.count(done).await
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_keys_and_old_runs_are_purged_periodically() {
    let app = TestApp::build().unmigrated().worker().start().await;
    app.database
        .migrate(testkit::notes::SERVICE.definition().schema)
        .await;
    app.wait_for("/readyz", 200).await;
    let started = Instant::now();
    let purged = "SELECT count(*) FROM job_runs WHERE kind = 'clear_away' AND status = 'succeeded'";
    app.database.execute(
        "INSERT INTO idempotency_keys (subject, route, key, fingerprint, status, body, expires_at)
         VALUES ('a', 'r', 'old', '', 201, '', now() - interval '1 s'), ('a', 'r', 'new', '', 201, '', now() + interval '1 h')",
    ).await;
    // Runs of a periodic job that are older than the retention: the newest must stay, or its period would get a second
    // run.
    app.database.execute(
        "INSERT INTO job_runs (id, kind, slot, payload, attempts_allowed, status, finished_at)
         SELECT ('00000000-0000-7000-8000-00000000000' || slot)::uuid, 'monthly', slot, '{}', 1, 'succeeded', now() - interval '30 days'
         FROM generate_series(6, 7) AS slot",
    ).await;
    // The purge may have run before the rows were there: wait for another run.
    app.database
        .execute("DELETE FROM job_runs WHERE kind = 'clear_away' AND status = 'succeeded'")
        .await;
    while app.database.count(purged).await == 0 {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "the purge does not run"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        app.database
            .count("SELECT count(*) FROM idempotency_keys WHERE key = 'old'")
            .await,
        0
    );
    assert_eq!(
        app.database
            .count("SELECT count(*) FROM idempotency_keys WHERE key = 'new'")
            .await,
        1
    );
    let remaining = "SELECT coalesce(sum(slot), 0)::bigint FROM job_runs WHERE kind = 'monthly'";
    assert_eq!(
        app.database.count(remaining).await,
        7,
        "only the newest run is left"
    );
}

/// An idle worker sends heartbeats, looks for dead workers and polls for jobs, a few times per second at most.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_makes_few_round_trips() {
    let app = TestApp::build().worker().postgres_proxy().start().await;
    let postgres = app.postgres.as_ref().expect("built with a proxy");
    let works = app.database.enqueue_failing_job(FailingJob::Works).await;
    app.database.wait_for_job(works, "succeeded").await;
    let before = postgres.round_trips();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let trips = postgres.round_trips() - before;
    assert!(trips < 200, "{trips} round trips in two seconds");
}

/// An effect may take as long as its job; only the statements around an attempt are limited to 5 s.
#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_is_slow_to_commit_succeeds() {
    let app = TestApp::build().worker().start().await;
    app.database.slow_inserts(6.0).await;
    let id = app.database.enqueue_note_job(0).await;
    assert_eq!(app.database.wait_for_job(id, "succeeded").await.0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_last_attempt_reported_no_result_is_counted_as_dead() {
    let app = TestApp::build().worker().start().await;
    let id = app.database.enqueue("test_poison", json!("works"), 0, 1).await;
    let (_, error) = app.database.wait_for_job(id, "dead").await;
    assert!(error.contains("never reported a result"), "{error}");
    let dead = "jobs_finished_total{kind=\"test_poison\",outcome=\"dead\"}";
    assert_eq!(app.metric(dead).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_has_its_trace_id_in_the_log() {
    let app = TestApp::build().worker().start().await;
    let id = app.database.enqueue_failing_job(FailingJob::Error).await;
    app.database.wait_for_job(id, "dead").await;
    let ended: Vec<Value> = log_lines()
        .lines()
        .filter(|line| line.contains(&id.to_string()) && line.contains("job ended"))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert!(!ended.is_empty());
    for line in ended {
        let trace_id = line["span"]["trace_id"].as_str().expect("a trace id");
        let spans = wait_for_spans(trace_id, |spans| !spans.is_empty()).await;
        assert!(spans.iter().any(|span| span.name == "job test_poison"));
    }
}
