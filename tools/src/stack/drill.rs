//! A drill: injects a fault under load, checks responses, alert and trace, removes the fault, and checks recovery.

use std::time::{Duration, Instant};

use super::{
    EVERY, Failure,
    compose::{address, caller_of},
    drills::Drill,
    watch::{link, spans, until},
};
use crate::load::{Load, Outcome, tally};

/// Time under load before the fault, so that every volume floor is reached.
const WARM_UP: Duration = Duration::from_secs(20);
const FIRES_WITHIN: Duration = Duration::from_mins(5);
const VISIBLE_WITHIN: Duration = Duration::from_secs(30);
const RECOVERS_WITHIN: Duration = Duration::from_mins(1);
/// The longest short window is five minutes.
const RESOLVES_WITHIN: Duration = Duration::from_mins(8);
/// The service has recovered when no request has failed for this long.
const HEALTHY_FOR: Duration = Duration::from_secs(5);

/// The results of a drill; an empty cell is a failure.
struct Row {
    name: &'static str,
    callers: String,
    alert: &'static str,
    fired: Option<Duration>,
    recovered: Option<Duration>,
    resolved: Option<Duration>,
    trace: String,
    failures: Vec<String>,
}

/// Runs drills and prints a table of the results. Fails when a cell is empty or a caller saw an unexpected result.
pub(super) async fn run(drills: &[Drill]) -> Result<(), Failure> {
    // Before any fault is injected: everything that the drill queries must be running.
    for (service, port) in [("prometheus", 9090), ("alertmanager", 9093), ("jaeger", 16686)] {
        address(service, port)?;
    }
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for drill in drills {
        eprintln!("==> {}", drill.name);
        let result = tokio::select! {
            result = one(drill) => Some(result),
            _ = tokio::signal::ctrl_c() => None,
        };
        // Whatever the result, no fault may remain.
        if let Err(error) = drill.remove.run().await {
            failures.push(format!("{}: the fault could not be removed: {error}", drill.name));
        }
        match result {
            Some(Ok(row)) => rows.push(row),
            Some(Err(error)) => failures.push(format!("{}: {error}", drill.name)),
            None => {
                failures.push(format!("{}: interrupted; the fault was removed", drill.name));
                break;
            }
        }
    }
    println!(
        "| fault | what callers saw | alert | time to fire | time to recover | time to resolve | trace |"
    );
    println!("|---|---|---|---|---|---|---|");
    let seconds = |time: Option<Duration>| time.map_or(String::new(), |time| format!("{} s", time.as_secs()));
    for row in &rows {
        let (fired, recovered, resolved) =
            (seconds(row.fired), seconds(row.recovered), seconds(row.resolved));
        let Row {
            name,
            callers,
            alert,
            trace,
            ..
        } = row;
        println!("| {name} | {callers} | {alert} | {fired} | {recovered} | {resolved} | {trace} |");
    }
    let of_rows = |row: &Row| {
        row.failures
            .iter()
            .map(|failure| format!("{}: {failure}", row.name))
            .collect::<Vec<_>>()
    };
    failures.extend(rows.iter().flat_map(of_rows));
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\n       ").into())
    }
}

async fn one(drill: &Drill) -> Result<Row, Failure> {
    let mut failures = Vec::new();
    let caller = caller_of(&format!("drill-{}", drill.name)).await?;
    let load = Load::start(caller, EVERY);
    if until(false, RESOLVES_WITHIN, || drill.alert.fires())
        .await?
        .is_none()
    {
        return Err(format!("{} is firing before the fault", drill.alert.name).into());
    }
    tokio::time::sleep(WARM_UP).await;
    let before = load.since(healthy_since());
    if let Some(failed) = before.iter().find(|outcome| !outcome.is_ok()) {
        return Err(format!("{} got {} before the fault", failed.operation, failed.result).into());
    }

    let injected = Instant::now();
    drill.inject.run().await?;
    eprintln!("    fault injected; waiting for {} to fire", drill.alert.name);
    let fired = until(true, FIRES_WITHIN, || drill.alert.fires()).await?;
    if fired.is_none() {
        failures.push(format!(
            "{} did not fire within {FIRES_WITHIN:?}",
            drill.alert.name
        ));
    } else if until(true, VISIBLE_WITHIN, || drill.alert.is_in_alertmanager())
        .await?
        .is_none()
    {
        failures.push(format!("{} did not reach Alertmanager", drill.alert.name));
    }
    let seen = load.since(injected);
    judge(drill, &seen, &mut failures);
    let trace = trace_of(&seen, &mut failures).await?;

    drill.remove.run().await?;
    let removed = Instant::now();
    eprintln!("    fault removed; waiting for recovery, then for the alert to resolve");
    let healthy = async || {
        let recent = load.since(healthy_since());
        Ok(removed.elapsed() > HEALTHY_FOR && recent.len() > 20 && recent.iter().all(Outcome::is_ok))
    };
    let recovered = until(true, RECOVERS_WITHIN, healthy)
        .await?
        .map(|time| time.saturating_sub(HEALTHY_FOR));
    if recovered.is_none() {
        let recent = tally(&load.since(healthy_since()));
        failures.push(format!("no recovery within {RECOVERS_WITHIN:?}: {recent:?}"));
    }
    let resolved = until(false, RESOLVES_WITHIN, || drill.alert.fires()).await?;
    let resolved = resolved.map(|_| removed.elapsed());
    if resolved.is_none() {
        failures.push(format!(
            "{} did not resolve within {RESOLVES_WITHIN:?}",
            drill.alert.name
        ));
    }
    Ok(Row {
        name: drill.name,
        callers: summary(&seen),
        alert: drill.alert.name,
        fired,
        recovered,
        resolved,
        trace,
        failures,
    })
}

/// Records each expected result that no caller saw, and the first result that is neither expected nor allowed.
fn judge(drill: &Drill, seen: &[Outcome], failures: &mut Vec<String>) {
    for (operation, result) in drill.expected {
        if !seen
            .iter()
            .any(|outcome| *outcome.operation == **operation && outcome.result == *result)
        {
            failures.push(format!("no caller of {operation} saw {result}"));
        }
    }
    let declared = |outcome: &Outcome| {
        outcome.is_ok()
            || drill.allowed.contains(&outcome.result.as_str())
            || drill.expected.iter().any(|(_, result)| outcome.result == *result)
    };
    if let Some(other) = seen.iter().find(|outcome| !declared(outcome)) {
        failures.push(format!(
            "{} got {}, which is not declared",
            other.operation, other.result
        ));
    }
}

/// Links the trace of the latest failure, once it is in Jaeger with a failed span.
async fn trace_of(seen: &[Outcome], failures: &mut Vec<String>) -> Result<String, Failure> {
    let failure = seen
        .iter()
        .rev()
        .find(|outcome| outcome.result.starts_with('5') && outcome.trace_id.is_some());
    let Some(trace_id) = failure.and_then(|outcome| outcome.trace_id.clone()) else {
        return Ok("none failed".to_owned());
    };
    let failed = async || {
        let spans = spans(&trace_id).await?;
        Ok(spans.iter().any(|span| {
            span["tags"]
                .as_array()
                .is_some_and(|tags| tags.iter().any(|tag| tag["key"] == "error"))
        }))
    };
    if until(true, VISIBLE_WITHIN, failed).await?.is_none() {
        failures.push(format!("the trace {trace_id} of a failure is not in Jaeger"));
        return Ok(String::new());
    }
    link(&trace_id)
}

/// Summarizes what failed for callers, most frequent first.
fn summary(seen: &[Outcome]) -> String {
    let mut results: Vec<_> = tally(seen)
        .into_iter()
        .filter(|((_, result), _)| !result.starts_with('2'))
        .collect();
    if results.is_empty() {
        return format!("{} requests, none failed", seen.len());
    }
    results.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let results = results
        .iter()
        .map(|((operation, result), count)| format!("{operation} {result} ({count})"));
    results.collect::<Vec<_>>().join("; ")
}

/// The beginning of the period that counts as healthy before a fault and after its end.
fn healthy_since() -> Instant {
    let now = Instant::now();
    now.checked_sub(HEALTHY_FOR).unwrap_or(now)
}
