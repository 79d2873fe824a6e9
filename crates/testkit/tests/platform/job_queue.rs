//! The queue: what is claimed, in which order, and what waits.

use std::time::{Duration, Instant};

use ::jobs::{Cancelled, EnqueueOptions, Filter, Status, cancel};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::notes::{Patient, enqueue_noop};
use uuid::Uuid;

use crate::{TestApp, assert_problem};

const RUNNING: &str = "SELECT count(*) FROM job_runs WHERE status = 'running'";

async fn job_view(app: &TestApp, id: Uuid) -> Value {
    let response = app.get(&format!("/v1/jobs/{id}")).await;
    assert_eq!(response.status(), 200);
    response.json().await.expect("JSON")
}

/// A backlog in front of a claim costs nothing: neither that of a paused kind, nor runs of the claimed kind that are due
/// later.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_reads_no_more_than_it_takes() {
    let app = TestApp::start().await;
    app.database
        .execute(
            "INSERT INTO job_runs (id, kind, payload, due_at)
             SELECT gen_random_uuid(), kind, '{}', now() + delay
             FROM (VALUES ('test_dependent', interval '-1 h'), ('test_noop', interval '1 h')) AS runs (kind, delay),
                  generate_series(1, 50000);
             INSERT INTO job_runs (id, kind, payload) SELECT gen_random_uuid(), 'test_noop', '{}' FROM generate_series(1, 16);
             INSERT INTO job_pauses (kind, until, reason) VALUES ('test_dependent', now() + interval '1 h', 'unavailable');
             INSERT INTO job_workers (id) VALUES ('00000000-0000-7000-8000-000000000001');
             ANALYZE job_runs",
        )
        .await;
    let claim = include_str!("../../../jobs/src/claim.rs");
    let start = claim.find("WITH ended").expect("the claim");
    let end = claim[start..].find("\"#").expect("its end");
    let claim = claim[start..start + end]
        .replace("\"failing_seconds!\"", "a")
        .replace("\"is_probe!\"", "b")
        .replace("\"worker!\"", "c");
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {claim}");
    let mut connection = app.database.connect().await;
    let kinds = ["test_dependent", "test_noop", "test_urgent", "purge"].map(str::to_owned);
    let mut claim = async || -> Value {
        sqlx::query_scalar(sqlx::AssertSqlSafe(explain.clone()))
            .bind(Uuid::from_u128(0x7000_8000_0000_0000_0001))
            .bind(&kinds[..])
            .bind(&[1i16, 1, 0, 0][..])
            .bind(&[8i64; 4][..])
            .bind(8i64)
            .bind(&[35.0f64; 4][..])
            .fetch_one(&mut connection)
            .await
            .expect("a plan")
    };
    // The first claim of a connection also reads the descriptions of the indexes.
    claim().await;
    let plan = claim().await;
    let plan = &plan[0]["Plan"];
    let buffers =
        ["Shared Hit Blocks", "Shared Read Blocks"].map(|name| plan[name].as_i64().expect("a number"));
    assert_eq!(plan["Actual Rows"].as_f64(), Some(8.0), "{plan:#}");
    assert!(buffers.iter().sum::<i64>() <= 100, "{buffers:?}: {plan:#}");
}

/// With room for one run at a time, every urgent run starts before any other one that was due with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_higher_priority_is_claimed_first() {
    let app = TestApp::start().await;
    app.database.enqueue("test_noop", json!({}), 20).await;
    app.database.enqueue("test_urgent", json!({}), 20).await;
    let worker = TestApp::build()
        .replica_of(&app)
        .worker()
        .set("jobs.concurrency", "1")
        .start();
    let worker = worker.await;
    let done = "SELECT count(*) FROM job_runs WHERE status = 'succeeded' AND kind LIKE 'test%'";
    worker.database.wait_until(done, |done| done == 40).await;
    let late = "SELECT count(*) FROM job_runs WHERE kind = 'test_urgent'
                AND started_at > (SELECT min(started_at) FROM job_runs WHERE kind = 'test_noop')";
    assert_eq!(app.database.count(late).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_never_exceeds_its_concurrency() {
    let app = TestApp::build().worker().start().await;
    app.database.enqueue("test_single", json!({}), 30).await;
    let ended = "SELECT count(*) FROM job_runs WHERE kind = 'test_single' AND finished_at IS NOT NULL";
    app.database.wait_until(ended, |ended| ended == 30).await;
    let alone = "SELECT count(*) FROM job_runs WHERE kind = 'test_single' AND status = 'succeeded'";
    assert_eq!(app.database.count(alone).await, 30);
}

/// The notification of a new run is lost with its connection; the worker looks for runs by itself every second.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_a_notification_starts_within_seconds() {
    let app = TestApp::build().worker().start().await;
    app.database
        .execute("INSERT INTO job_runs (id, kind, payload) VALUES (gen_random_uuid(), 'test_noop', '{}')")
        .await;
    let began = Instant::now();
    let done = "SELECT count(*) FROM job_runs WHERE kind = 'test_noop' AND status = 'succeeded'";
    app.database.wait_until(done, |done| done == 1).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_run_starts_when_it_is_due() {
    let app = TestApp::build().worker().start().await;
    let options = EnqueueOptions {
        due_at: Some(chrono::Utc::now() + chrono::TimeDelta::seconds(3)),
        unique_key: None,
    };
    let id = enqueue_noop(&app.app.platform.database, options).await.id;
    assert_eq!(job_view(&app, id).await["status"], "queued");
    app.database.wait_for_job(id, "succeeded").await;
    let early = "SELECT count(*) FROM job_runs
                 WHERE kind = 'test_noop' AND (started_at < due_at OR due_at < created_at + interval '2 s')";
    assert_eq!(app.database.count(early).await, 0);
}

/// Nine callers at the same time want one effect: there is one run, and all of them learn its id.
#[tokio::test(flavor = "multi_thread")]
async fn a_unique_key_has_one_unfinished_run() {
    let app = TestApp::start().await;
    let enqueue = async |key: &str| {
        let options = EnqueueOptions {
            due_at: None,
            unique_key: Some(key.to_owned()),
        };
        enqueue_noop(&app.app.platform.jobs_database, options).await
    };
    let enqueued = join_all((0..9).map(|_| enqueue("a"))).await;
    assert_eq!(
        enqueued.iter().filter(|run| run.is_new).count(),
        1,
        "{enqueued:?}"
    );
    assert!(
        enqueued.iter().all(|run| run.id == enqueued[0].id),
        "{enqueued:?}"
    );
    assert!(enqueue("b").await.is_new);

    let worker = TestApp::build().replica_of(&app).worker().start().await;
    worker.database.wait_for_job(enqueued[0].id, "succeeded").await;
    let again = enqueue("a").await;
    assert!(again.is_new, "a finished run leaves the key to the next one");
    assert_ne!(again.id, enqueued[0].id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_reports_its_progress_and_can_be_cancelled() {
    let app = TestApp::build().worker().start().await;
    let database = &app.app.platform.database;
    for job in [Patient::Cooperative, Patient::IgnoresCancellation] {
        let id = app.database.enqueue("test_patient", json!(job), 1).await;
        app.database.wait_until(RUNNING, |running| running == 1).await;
        if matches!(job, Patient::Cooperative) {
            let reported = "SELECT count(*) FROM job_runs WHERE progress IS NOT NULL";
            app.database.wait_until(reported, |reported| reported == 1).await;
            let progress = job_view(&app, id).await["progress"].clone();
            assert_eq!(progress, json!({ "fraction": 0.4, "message": "2 of 5 steps" }));
        }
        let cancelled = cancel(database, id).await.expect("Postgres responds");
        assert_eq!(cancelled, Some(Cancelled::Requested));
        let (attempts, last_error) = app.database.wait_for_job(id, "cancelled").await;
        assert_eq!(
            (attempts, last_error.contains("cancelled")),
            (1, true),
            "{last_error}"
        );
        let job = job_view(&app, id).await;
        assert_eq!(
            (&job["status"], &job["progress"]),
            (&json!("cancelled"), &Value::Null)
        );
        assert_eq!(cancel(database, id).await.expect("Postgres responds"), None);
    }
    let response = app.get(&format!("/v1/jobs/{}", Uuid::nil())).await;
    assert_problem(response, "/v1/jobs/{id}", Method::GET, "job-not-found").await;
}

/// Two unfinished runs cannot have one key: a dead run whose key is in use stays dead, and of two dead runs with one key, one
/// is retried.
#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_retry_leaves_out_runs_whose_key_is_in_use() {
    let app = TestApp::start().await;
    app.database
        .execute(
            "INSERT INTO job_runs (id, kind, payload, unique_key, status)
             SELECT gen_random_uuid(), 'test_noop', '{}', key, status
             FROM (VALUES ('used', 'dead'), ('used', 'queued'), ('free', 'dead'), ('free', 'dead'), (NULL, 'dead'), (NULL, 'dead'))
               AS runs (key, status)",
        )
        .await;
    let database = &app.app.platform.database;
    let dead = || Filter {
        statuses: vec![Status::Dead],
        ..Filter::default()
    };
    let retry = async || {
        ::jobs::retry(database, dead(), |_| ())
            .await
            .expect("Postgres responds")
    };
    assert_eq!(retry().await, 3);
    assert_eq!(retry().await, 0);
    let left = "SELECT count(*) FROM job_runs WHERE status = 'dead' AND unique_key IS NOT NULL";
    assert_eq!(app.database.count(left).await, 2);
}

/// Finished runs are kept for days: neither the count, nor the look for runs of other workers, nor the claim reads them.
#[tokio::test(flavor = "multi_thread")]
async fn statements_of_workers_do_not_read_finished_runs() {
    let app = TestApp::start().await;
    app.database
        .execute(
            "INSERT INTO job_runs (id, kind, payload, status, finished_at)
             SELECT gen_random_uuid(), 'test_noop', '{}', 'succeeded', now() FROM generate_series(1, 50000);
             INSERT INTO job_pauses (kind, until, reason) VALUES ('test_dependent', now() + interval '1 h', 'unavailable');
             ANALYZE job_runs",
        )
        .await;
    let scans = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'job_runs'";
    let before = app.database.count(scans).await;
    let worker = TestApp::build()
        .replica_of(&app)
        .worker()
        .set("jobs.lease", "1s")
        .start()
        .await;
    let pauses = "SELECT count(*) FROM job_pauses";
    worker.database.wait_until(pauses, |pauses| pauses == 0).await;
    let id = worker.database.enqueue("test_noop", json!({}), 1).await;
    worker.database.wait_for_job(id, "succeeded").await;
    // Statistics are written when a session ends or is idle.
    app.database.terminate_connections().await;
    let after = app.database.count(scans).await;
    assert_eq!(after, before, "job_runs was read as a whole");
}
