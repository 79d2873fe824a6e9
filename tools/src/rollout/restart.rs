//! A rolling restart: every pod is replaced while clients keep their connections open.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{
    Failure,
    cluster::run,
    scenario_run::{DEADLINE, PER_SECOND, ScenarioRun},
};

pub(super) async fn rolling_restart(run: &mut ScenarioRun<'_>) -> Result<(), Failure> {
    const TRACED: u64 = 5;
    // Each caller has its own connections, so that every pod serves some.
    let mut callers = Vec::new();
    for _ in 0..20 {
        callers.push(run.caller().await?.traced(TRACED));
    }
    run.load_of(callers)?;
    let began = Instant::now();
    let at = now()?;
    let restart = format!(r#"{{"spec":{{"restartAt":"{at}"}}}}"#);
    run.cluster
        .kubectl(&["patch", "rollout", "api", "--type=merge", "--patch", &restart])?;
    loop {
        let state = run
            .cluster
            .get("rollout/api", "{.status.restartedAt} {.status.phase}")?;
        if state == format!("{at} Healthy") {
            break;
        }
        if began.elapsed() > DEADLINE {
            return Err(format!("the restart did not complete: {state}").into());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    run.note(format!(
        "{} pods restarted in {} s",
        run.cluster.replicas,
        began.elapsed().as_secs()
    ));
    // The last pods may still be draining.
    tokio::time::sleep(Duration::from_secs(30)).await;
    run.stop_load();
    run.at_most_failed(0);
    let sent = run.since(began).into_iter();
    let traced: Vec<_> = sent
        .filter_map(|outcome| Some((outcome.trace_id?, outcome.operation)))
        .collect();
    let jaeger = run.cluster.forward("deploy/jaeger", 16686)?;
    let mut missing = Vec::new();
    for (trace_id, operation) in &traced {
        if !has_span(&jaeger.url, trace_id, operation).await? {
            missing.push(trace_id);
        }
    }
    run.note(format!(
        "{} of {} traces are in Jaeger",
        traced.len() - missing.len(),
        traced.len()
    ));
    let enough = usize::try_from(began.elapsed().as_secs() * u64::from(PER_SECOND) / TRACED / 2)?;
    run.check(traced.len() >= enough, || {
        format!("only {} requests were traced", traced.len())
    });
    run.check(missing.is_empty(), || format!("traces are missing: {missing:?}"));
    Ok(())
}

fn now() -> Result<String, Failure> {
    run("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"], "")
}

/// Whether Jaeger has the API's own span; those of the supplier and the worker may arrive without it.
async fn has_span(jaeger: &str, trace_id: &str, operation: &str) -> Result<bool, Failure> {
    let began = Instant::now();
    loop {
        let trace: Value = reqwest::get(format!("{jaeger}/api/traces/{trace_id}"))
            .await?
            .json()
            .await?;
        let spans = trace["data"][0]["spans"].as_array().cloned().unwrap_or_default();
        if spans.iter().any(|span| span["operationName"] == operation) {
            return Ok(true);
        }
        if began.elapsed() > Duration::from_secs(10) {
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
