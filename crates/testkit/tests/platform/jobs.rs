//! Jobs within one process, and how they fail. `workers.rs` tests workers as processes of their own.

use std::time::{Duration, Instant};

use ::jobs::Filter;
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
async fn a_job_that_keeps_failing_is_dead_and_other_jobs_succeed() {
    let app = TestApp::build().worker().start().await;
    let cases = [
        (FailingJob::Error, "provoked-job-error"),
        (FailingJob::Panic, "panicked: provoked-job-panic"),
        (FailingJob::PanicInCommit, "panicked: provoked-commit-panic"),
        (FailingJob::Endless, "timed out after 500ms"),
    ];
    let mut failing = Vec::new();
    for (job, error) in cases {
        failing.push((app.database.enqueue_failing_job(job).await, error));
    }
    let works = app.database.enqueue_failing_job(FailingJob::Works).await;
    app.database.wait_for_job(works, "succeeded").await;
    for (id, error) in failing {
        let (attempt, last_error) = app.database.wait_for_job(id, "dead").await;
        assert_eq!(attempt, 2, "{error}");
        assert!(last_error.contains(error), "{last_error}");
    }
    let dead = "jobs_finished_total{kind=\"test_poison\",outcome=\"dead\"}";
    assert_eq!(app.metric(dead).await, 4.0);
    wait_for_runs(&app, "test_poison", "dead", 4.0).await;
}

/// Waits until the gauge of runs has this value.
async fn wait_for_runs(app: &TestApp, kind: &str, state: &str, runs: f64) {
    let gauge = format!("jobs_runs{{kind=\"{kind}\",state=\"{state}\"}}");
    let started = Instant::now();
    while app.metric(&gauge).await != runs {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{gauge} does not become {runs}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Old and new workers share the queue during a release.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_newer_release_understands_stays_queued() {
    let app = TestApp::build().worker().start().await;
    let unreadable = app
        .database
        .enqueue("test_poison", json!({ "newer": 2 }), 1)
        .await;
    let unknown = app.database.enqueue("of_a_newer_release", json!({}), 1).await;
    app.database.wait_for_attempt(unreadable, 1).await;
    let (_, error) = app.database.wait_for_job(unreadable, "queued").await;
    assert!(error.contains("the payload cannot be read"), "{error}");
    let counted = "SELECT (failures + crashes)::bigint FROM job_runs WHERE kind = 'test_poison'";
    assert_eq!(app.database.count(counted).await, 0, "no attempt was charged");
    let metric = "jobs_finished_total{kind=\"test_poison\",outcome=\"unreadable\"}";
    assert_eq!(app.metric(metric).await, 1.0);
    wait_for_runs(&app, "unknown", "queued", 1.0).await;
    assert_eq!(
        app.database.job(unknown).await.1,
        0,
        "a kind that is not known is not claimed"
    );

    // The newer worker understands both.
    app.database
        .execute("UPDATE job_runs SET kind = 'test_noop', due_at = now()")
        .await;
    app.database.wait_for_job(unreadable, "succeeded").await;
    app.database.wait_for_job(unknown, "succeeded").await;
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
    let retry = async || {
        ::jobs::retry(database, Filter::one(id), |_| ())
            .await
            .expect("Postgres responds")
    };
    assert_eq!(retry().await, 1);
    app.database.wait_for_job(id, "succeeded").await;
    assert_eq!(
        retry().await,
        0,
        "only jobs that ended without success can be retried"
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
    app.database.enqueue("test_noop", json!({}), 10_000).await;
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

/// More rows than one transaction deletes, so that a purge that stopped after one batch would fail here.
#[tokio::test(flavor = "multi_thread")]
async fn expired_keys_and_old_runs_are_purged_until_none_is_left() {
    let app = TestApp::start().await;
    app.database
        .execute(
            "INSERT INTO idempotency_keys (subject, route, key, fingerprint, status, body, expires_at)
             SELECT 'a', 'r', i::text, '', 201, '', now() - interval '1 s' FROM generate_series(1, 10001) AS i;
             INSERT INTO idempotency_keys (subject, route, key, fingerprint, status, body, expires_at)
             VALUES ('a', 'r', 'new', '', 201, '', now() + interval '1 h');
             INSERT INTO job_runs (id, kind, payload, status, finished_at)
             SELECT gen_random_uuid(), 'old', '{}', status, now() - interval '30 days'
             FROM unnest('{succeeded,failed,cancelled,dead}'::text[]) AS status, generate_series(1, 2501);",
        )
        .await;
    let worker = TestApp::build().replica_of(&app).worker().start().await;
    let purged = "SELECT count(*) FROM job_runs WHERE kind = 'purge' AND status = 'succeeded'";
    app.database.wait_until(purged, |count| count == 1).await;
    let keys = "SELECT count(*) FROM idempotency_keys";
    assert_eq!(app.database.count(keys).await, 1, "the key that has not expired");
    let dead = "SELECT count(*) FILTER (WHERE status = 'dead') - count(*) FILTER (WHERE status <> 'dead')
                FROM job_runs WHERE kind = 'old'";
    assert_eq!(
        app.database.count(dead).await,
        2_501,
        "dead runs stay, all others are gone"
    );
    let reported = "SELECT (result ->> 'idempotency_keys')::bigint + (result ->> 'job_runs')::bigint
                    FROM job_runs WHERE kind = 'purge' AND status = 'succeeded'";
    assert_eq!(app.database.count(reported).await, 10_001 + 3 * 2_501);
    assert_eq!(
        worker.metric("jobs_purged_rows_total{table=\"job_runs\"}").await,
        7_503.0
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
