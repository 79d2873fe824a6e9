//! When the service reports that it is live, started and ready.

use std::time::{Duration, Instant};

use testkit::{Mode, log_lines};

use crate::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_an_outdated_schema_is_not_started_until_it_is_migrated() {
    let app = TestApp::build().unmigrated().start().await;
    assert_eq!(app.management("/livez").await.status(), 200);
    assert_eq!(app.management("/startupz").await.status(), 503);
    assert_eq!(app.management("/readyz").await.status(), 503);
    app.database
        .migrate(testkit::notes::SERVICE.definition().schema)
        .await;
    app.wait_for("/startupz", 200).await;
    app.wait_for("/readyz", 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_postgres_is_live_responds_503_and_keeps_retrying() {
    let app = TestApp::build().postgres_unavailable().start().await;
    let response = app.get("/v1/test/notes").await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(app.management("/livez").await.status(), 200);
    assert_eq!(app.management("/startupz").await.status(), 503);
    app.postgres.as_ref().expect("built with a proxy").set(Mode::Pass);
    app.wait_for("/startupz", 200).await;
    assert_eq!(app.get("/v1/test/notes").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_a_required_database() {
    let app = TestApp::build()
        .postgres_proxy()
        .set("readiness.require", "postgres")
        .start()
        .await;
    let proxy = app.postgres.as_ref().expect("built with a proxy");
    proxy.set(Mode::Cut);
    app.wait_for("/readyz", 503).await;
    assert_eq!(
        app.management("/livez").await.status(),
        200,
        "a restart would not help"
    );
    proxy.set(Mode::Pass);
    app.wait_for("/readyz", 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dependencies_are_reported_separately() {
    let app = TestApp::build().redis_proxy().start().await;
    app.redis.as_ref().expect("built with a proxy").set(Mode::Cut);
    let text = app.management("/dependencies").await.text().await.expect("text");
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&report["postgres"]["state"], &report["redis"]["state"]),
        (&"up".into(), &"down".into())
    );
}

/// Counting jobs may take long, and says nothing about the health of the database.
#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_count_of_jobs_does_not_make_the_database_unavailable() {
    let app = TestApp::build()
        .set("readiness.require", "postgres")
        .start()
        .await;
    app.wait_for("/readyz", 200).await;
    let _lock = app.database.hold("LOCK TABLE job_runs").await;
    for _ in 0..2 {
        app.database.wait_for_lock_waiter().await;
        assert_eq!(app.management("/readyz").await.status(), 200);
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        app.database.wait_until(waiting, |waiting| waiting == 0).await;
    }
}

/// Such a pooler leads two connections to one session, where their statements have the same names. Without the check,
/// most requests would fail while the process is ready.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a pooler without prepared statements, which `make test-pooler` starts"]
async fn a_pooler_without_prepared_statements_keeps_the_process_from_starting() {
    let app = TestApp::build().unmigrated().start().await;
    app.database
        .migrate(testkit::notes::SERVICE.definition().schema)
        .await;
    let began = Instant::now();
    while !log_lines().contains("prepared statements do not work") {
        assert!(began.elapsed() < Duration::from_secs(20), "{}", log_lines());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(app.management("/startupz").await.status(), 503);
}
