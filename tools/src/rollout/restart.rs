//! Every pod is replaced while clients keep their connections.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{
    Failure,
    cluster::run,
    stage::{DEADLINE, PER_SECOND, Stage},
};

pub async fn rolling_restart(stage: &mut Stage<'_>) -> Result<(), Failure> {
    const TRACED: u64 = 5;
    // Each with connections of its own, so that every pod has some.
    let callers = (0..20).map(|_| Ok(stage.caller()?.traced(TRACED)));
    let callers = callers.collect::<Result<Vec<_>, Failure>>()?;
    stage.load_of(callers).await?;
    let began = Instant::now();
    let at = now()?;
    let restart = format!(r#"{{"spec":{{"restartAt":"{at}"}}}}"#);
    stage
        .cluster
        .kubectl(&["patch", "rollout", "api", "--type=merge", "--patch", &restart])?;
    loop {
        let state = stage
            .cluster
            .get("rollout/api", "{.status.restartedAt} {.status.phase}")?;
        if state == format!("{at} Healthy") {
            break;
        }
        if began.elapsed() > DEADLINE {
            return Err(format!("the restart did not end: {state}").into());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    stage.note(format!(
        "{} pods restarted in {} s",
        stage.cluster.replicas,
        began.elapsed().as_secs()
    ));
    // The last pods may still drain.
    tokio::time::sleep(Duration::from_secs(30)).await;
    stage.quiet();
    stage.at_most_failed(0);
    let sent = stage.since(began).into_iter();
    let kept: Vec<_> = sent
        .filter_map(|outcome| Some((outcome.trace_id?, outcome.operation)))
        .collect();
    let jaeger = stage.cluster.forward("deploy/jaeger", 16686)?;
    let mut missing = Vec::new();
    for (trace_id, operation) in &kept {
        if !is_there(&jaeger.url, trace_id, operation).await? {
            missing.push(trace_id);
        }
    }
    stage.note(format!(
        "{} of {} traces are in Jaeger",
        kept.len() - missing.len(),
        kept.len()
    ));
    let enough = began.elapsed().as_secs() as usize * PER_SECOND as usize / TRACED as usize / 2;
    stage.check(kept.len() >= enough, || {
        format!("only {} requests were traced", kept.len())
    });
    stage.check(missing.is_empty(), || format!("traces are missing: {missing:?}"));
    Ok(())
}

fn now() -> Result<String, Failure> {
    run("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"], "")
}

/// Whether the API's own span is in Jaeger; the supplier's and the worker's may be there without it.
async fn is_there(jaeger: &str, trace_id: &str, operation: &str) -> Result<bool, Failure> {
    let began = Instant::now();
    loop {
        let told: Value = reqwest::get(format!("{jaeger}/api/traces/{trace_id}"))
            .await?
            .json()
            .await?;
        let spans = told["data"][0]["spans"].as_array().cloned().unwrap_or_default();
        if spans.iter().any(|span| span["operationName"] == operation) {
            return Ok(true);
        }
        if began.elapsed() > Duration::from_secs(10) {
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
