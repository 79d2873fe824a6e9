//! Good releases in a bad environment: without traffic, Postgres or Prometheus.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    Failure,
    release::Release,
    scenario_run::{DEADLINE, ScenarioRun},
    scenarios::failed,
};

pub(super) async fn no_traffic(run: &mut ScenarioRun<'_>) -> Result<(), Failure> {
    run.stop_load();
    let (stable, good) = (run.stable.clone(), run.good.clone());
    let release = run.release(&good, DEADLINE, 3).await?;
    run.check(release.metric_failed("no-evidence"), || {
        "`no-evidence` is not listed as failed".to_owned()
    });
    run.rollback(&stable)?;
    let mut release = Release::begin(&good, DEADLINE, false)?;
    release.steps_done(2).await?;
    run.load().await?;
    run.ends_with(&mut release, 0).await?;
    run.at_most_failed(0);
    run.serves(&good)
}

/// Makes the Postgres Service select no pod, and closes the open connections.
fn cut_postgres(run: &ScenarioRun<'_>) -> Result<(), Failure> {
    let no_pod = r#"{"spec":{"selector":{"app.kubernetes.io/name":"nothing"}}}"#;
    run.cluster
        .kubectl(&["patch", "service", "postgres", "--patch", no_pod])?;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_addr IS NOT NULL AND pid <> pg_backend_pid()";
    let psql = [
        "exec",
        "deploy/postgres",
        "--",
        "psql",
        "--username=app",
        "--dbname=app",
        "--command",
        end,
    ];
    run.cluster.kubectl(&psql).map(drop)
}

pub(super) async fn postgres_unavailable(run: &mut ScenarioRun<'_>) -> Result<(), Failure> {
    let good = run.good.clone();
    let mut release = Release::begin(&good, DEADLINE, false)?;
    release.steps_done(1).await?;
    cut_postgres(run)?;
    let cut = Instant::now();
    let mut min_ready = u32::MAX;
    while cut.elapsed() < Duration::from_mins(1) {
        let ready: u32 = run
            .cluster
            .get("rollout/api", "{.status.readyReplicas}")?
            .parse()?;
        min_ready = min_ready.min(ready);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let waited = release.printed_at(": 3 of 9 steps done").is_none();
    run.check(waited, || "the release continued without Postgres".to_owned());
    let restored = r#"{"spec":{"selector":{"app.kubernetes.io/name":"postgres"}}}"#;
    run.cluster
        .kubectl(&["patch", "service", "postgres", "--patch", restored])?;
    let replicas = run.cluster.replicas;
    run.check(min_ready >= replicas, || {
        format!("only {min_ready} of {replicas} pods stayed ready")
    });
    let during_outage = run.since(cut);
    let results: BTreeSet<&str> = during_outage
        .iter()
        .filter(|outcome| failed(outcome))
        .map(|outcome| outcome.result.as_str())
        .collect();
    run.note(format!(
        "during the outage: {}",
        results.iter().copied().collect::<Vec<_>>().join(", ")
    ));
    let designed = [
        "503 dependency-unavailable",
        "503 overloaded",
        "504 deadline-exceeded",
    ];
    run.check(
        !results.is_empty() && results.iter().all(|result| designed.contains(result)),
        || format!("callers saw {results:?}"),
    );
    run.ends_with(&mut release, 0).await?;
    run.serves(&good)
}

pub(super) async fn prometheus_unavailable(run: &mut ScenarioRun<'_>) -> Result<(), Failure> {
    let good = run.good.clone();
    let scale = |replicas: &str| {
        let replicas = format!("--replicas={replicas}");
        run.cluster
            .kubectl(&["scale", "deployment/prometheus", &replicas])
            .map(drop)
    };
    let mut release = Release::begin(&good, DEADLINE, false)?;
    release.steps_done(1).await?;
    scale("0")?;
    tokio::time::sleep(Duration::from_mins(2)).await;
    scale("1")?;
    run.cluster
        .kubectl(&["rollout", "status", "deployment/prometheus", "--timeout=120s"])?;
    run.ends_with(&mut release, 3).await?;
    run.at_most_failed(0);
    let stable = run.stable.clone();
    run.serves(&stable)
}
