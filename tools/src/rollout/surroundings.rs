//! A good release while what it needs is not well: traffic, Postgres, Prometheus.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    Failure,
    load::EVERYTHING,
    release::Release,
    scenarios::failed,
    stage::{DEADLINE, Stage},
};

pub async fn no_traffic(stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.quiet();
    let (stable, good) = (stage.stable.clone(), stage.good.clone());
    let release = stage.release(&good, DEADLINE, 3).await?;
    stage.check(release.found_failed("no-evidence"), || {
        "the reason is not told".to_owned()
    });
    stage.rollback(&stable)?;
    let mut release = Release::begin(&good, DEADLINE, false)?;
    release.steps_done(2).await?;
    stage.load(EVERYTHING).await?;
    stage.ends_with(&mut release, 0).await?;
    stage.at_most_failed(0);
    stage.serves(&good)
}

/// Nobody finds Postgres any more, and the connections that are open break.
fn cut_postgres(stage: &Stage<'_>) -> Result<(), Failure> {
    let nobody = r#"{"spec":{"selector":{"app.kubernetes.io/name":"nobody"}}}"#;
    stage
        .cluster
        .kubectl(&["patch", "service", "postgres", "--patch", nobody])?;
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
    stage.cluster.kubectl(&psql).map(drop)
}

pub async fn postgres_away(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let good = stage.good.clone();
    let mut release = Release::begin(&good, DEADLINE, false)?;
    release.steps_done(1).await?;
    cut_postgres(stage)?;
    let cut = Instant::now();
    let mut least = u32::MAX;
    while cut.elapsed() < Duration::from_secs(60) {
        let ready: u32 = stage
            .cluster
            .get("rollout/api", "{.status.readyReplicas}")?
            .parse()?;
        least = least.min(ready);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let held = release.said(": 3 of 9 steps done").is_none();
    stage.check(held, || "the release went on without Postgres".to_owned());
    let back = r#"{"spec":{"selector":{"app.kubernetes.io/name":"postgres"}}}"#;
    stage
        .cluster
        .kubectl(&["patch", "service", "postgres", "--patch", back])?;
    let replicas = stage.cluster.replicas;
    stage.check(least >= replicas, || {
        format!("only {least} of {replicas} pods stayed ready")
    });
    let away = stage.since(cut);
    let results: BTreeSet<&str> = away
        .iter()
        .filter(|outcome| failed(outcome))
        .map(|outcome| outcome.result.as_str())
        .collect();
    stage.note(format!(
        "while it was away: {}",
        results.iter().copied().collect::<Vec<_>>().join(", ")
    ));
    let typed = [
        "503 dependency-unavailable",
        "503 overloaded",
        "504 deadline-exceeded",
    ];
    stage.check(
        !results.is_empty() && results.iter().all(|result| typed.contains(result)),
        || format!("callers saw {results:?}"),
    );
    stage.ends_with(&mut release, 0).await?;
    stage.serves(&good)
}

pub async fn prometheus_away(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let good = stage.good.clone();
    let scale = |replicas: &str| {
        let replicas = format!("--replicas={replicas}");
        stage
            .cluster
            .kubectl(&["scale", "deployment/prometheus", &replicas])
            .map(drop)
    };
    let mut release = Release::begin(&good, DEADLINE, false)?;
    release.steps_done(1).await?;
    scale("0")?;
    tokio::time::sleep(Duration::from_secs(120)).await;
    scale("1")?;
    stage
        .cluster
        .kubectl(&["rollout", "status", "deployment/prometheus", "--timeout=120s"])?;
    stage.ends_with(&mut release, 3).await?;
    stage.at_most_failed(0);
    let stable = stage.stable.clone();
    stage.serves(&stable)
}
