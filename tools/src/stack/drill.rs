//! A drill: the fault under load, what callers saw, the alert, a trace, the fault gone, everything well again.

use std::time::{Duration, Instant};

use super::{
    EVERY, Failure,
    compose::{address, caller_of},
    drills::Drill,
    load::{Load, Outcome, tally},
    watch::{link, spans, until},
};

/// Load before the fault, so that every volume floor is passed.
const WARM_UP: Duration = Duration::from_secs(20);
const FIRES_WITHIN: Duration = Duration::from_secs(300);
const KNOWN_WITHIN: Duration = Duration::from_secs(30);
const RECOVERS_WITHIN: Duration = Duration::from_secs(60);
/// The longest short window is five minutes.
const RESOLVES_WITHIN: Duration = Duration::from_secs(480);
/// Callers are well when nothing failed for so long.
const WELL_FOR: Duration = Duration::from_secs(5);

/// What was seen; an empty cell is a failure.
struct Row {
    name: &'static str,
    callers: String,
    alert: &'static str,
    fired: Option<Duration>,
    recovered: Option<Duration>,
    resolved: Option<Duration>,
    trace: String,
    faults: Vec<String>,
}

/// Runs drills, and prints a table of what was seen. Fails when a cell of it is empty or a caller saw what it should not.
pub async fn run(drills: &[Drill]) -> Result<(), Failure> {
    // Before anything is broken: what has to be asked is there.
    for (service, port) in [("prometheus", 9090), ("alertmanager", 9093), ("jaeger", 16686)] {
        address(service, port)?;
    }
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for drill in drills {
        eprintln!("==> {}", drill.name);
        let seen = tokio::select! {
            seen = one(drill) => Some(seen),
            _ = tokio::signal::ctrl_c() => None,
        };
        // Whatever went wrong, the stack is left well.
        if let Err(error) = drill.remove.run().await {
            faults.push(format!("{}: the fault was not taken away: {error}", drill.name));
        }
        match seen {
            Some(Ok(row)) => rows.push(row),
            Some(Err(error)) => faults.push(format!("{}: {error}", drill.name)),
            None => {
                faults.push(format!("{}: interrupted; the fault was taken away", drill.name));
                break;
            }
        }
    }
    println!(
        "| fault | what callers saw | alert | fires after | callers well after | resolved after | a trace of it |"
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
        row.faults
            .iter()
            .map(|fault| format!("{}: {fault}", row.name))
            .collect::<Vec<_>>()
    };
    faults.extend(rows.iter().flat_map(of_rows));
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.join("\n       ").into())
    }
}

async fn one(drill: &Drill) -> Result<Row, Failure> {
    let mut faults = Vec::new();
    let caller = caller_of(&format!("drill-{}", drill.name))?
        .with_an_order()
        .await?;
    let load = Load::start(caller, EVERY);
    if until(false, RESOLVES_WITHIN, || drill.alert.fires())
        .await?
        .is_none()
    {
        return Err(format!("{} fires already, before the fault", drill.alert.name).into());
    }
    tokio::time::sleep(WARM_UP).await;
    let calm = load.since(Instant::now() - WELL_FOR);
    if let Some(unwell) = calm.iter().find(|outcome| !outcome.is_ok()) {
        return Err(format!("{} is {} before the fault", unwell.operation, unwell.result).into());
    }

    let injected = Instant::now();
    drill.inject.run().await?;
    eprintln!("    the fault is there; waiting for {} to fire", drill.alert.name);
    let fired = until(true, FIRES_WITHIN, || drill.alert.fires()).await?;
    if fired.is_none() {
        faults.push(format!(
            "{} does not fire within {FIRES_WITHIN:?}",
            drill.alert.name
        ));
    } else if until(true, KNOWN_WITHIN, || drill.alert.is_known())
        .await?
        .is_none()
    {
        faults.push(format!("{} does not reach Alertmanager", drill.alert.name));
    }
    let seen = load.since(injected);
    judge(drill, &seen, &mut faults);
    let trace = trace_of(&seen, &mut faults).await?;

    drill.remove.run().await?;
    let removed = Instant::now();
    eprintln!("    the fault is gone; waiting for callers, then for the alert");
    let well = async || {
        let recent = load.since(Instant::now() - WELL_FOR);
        Ok(removed.elapsed() > WELL_FOR && recent.len() > 20 && recent.iter().all(Outcome::is_ok))
    };
    let recovered = until(true, RECOVERS_WITHIN, well)
        .await?
        .map(|time| time.saturating_sub(WELL_FOR));
    if recovered.is_none() {
        let recent = tally(&load.since(Instant::now() - WELL_FOR));
        faults.push(format!(
            "callers are not well after {RECOVERS_WITHIN:?}: {recent:?}"
        ));
    }
    let resolved = until(false, RESOLVES_WITHIN, || drill.alert.fires()).await?;
    let resolved = resolved.map(|_| removed.elapsed());
    if resolved.is_none() {
        faults.push(format!(
            "{} does not resolve within {RESOLVES_WITHIN:?}",
            drill.alert.name
        ));
    }
    Ok(Row {
        name: drill.name,
        callers: told(&seen),
        alert: drill.alert.name,
        fired,
        recovered,
        resolved,
        trace,
        faults,
    })
}

/// Each expected result was seen, and nothing that nobody designed.
fn judge(drill: &Drill, seen: &[Outcome], faults: &mut Vec<String>) {
    for (operation, result) in drill.expected {
        if !seen
            .iter()
            .any(|outcome| outcome.operation == *operation && outcome.result == *result)
        {
            faults.push(format!("no caller of {operation} saw {result}"));
        }
    }
    let known = |outcome: &Outcome| {
        outcome.is_ok()
            || drill.allowed.contains(&outcome.result.as_str())
            || drill.expected.iter().any(|(_, result)| outcome.result == *result)
    };
    if let Some(other) = seen.iter().find(|outcome| !known(outcome)) {
        faults.push(format!("{} was {}", other.operation, other.result));
    }
}

/// The trace of one failure, once it is in Jaeger with a failed span.
async fn trace_of(seen: &[Outcome], faults: &mut Vec<String>) -> Result<String, Failure> {
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
    if until(true, KNOWN_WITHIN, failed).await?.is_none() {
        faults.push(format!("the trace {trace_id} of a failure is not in Jaeger"));
        return Ok(String::new());
    }
    link(&trace_id)
}

/// What callers saw, most frequent first.
fn told(seen: &[Outcome]) -> String {
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
