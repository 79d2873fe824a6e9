//! `tools load`: runs the flows of a service for some time, and prints a row for each operation.

use std::time::{Duration, Instant};

use testkit::{Criticality, Operation};

use super::{Caller, Load, Outcome, percentile, tally};
use crate::{Failure, target::Target};

/// The options of `tools load`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// How long requests are sent, in seconds.
    #[arg(long, env = "DURATION", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    duration: u64,
    /// Requests per second, on average.
    #[arg(long, env = "RATE", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
}

/// One request in this many has a sampled trace.
const TRACED: u64 = 5;
/// The time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(10);
/// The longest time for the last responses to arrive.
const LAST_RESPONSES: Duration = Duration::from_secs(9);

/// Sends the load and prints the table. An error lists what was not a designed outcome of its operation.
pub(crate) async fn run(args: &Args) -> Result<(), Failure> {
    let caller = args.target.caller("load").await?;
    let caller = caller.with_pages().traced(TRACED);
    let began = Instant::now();
    let load = Load::start(caller.clone(), Duration::from_secs(1) / args.rate);
    let end = began + Duration::from_secs(args.duration);
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        tokio::time::sleep(left.min(PROGRESS)).await;
        let sent = load.since(began);
        let failed = sent.iter().filter(|outcome| !outcome.is_ok()).count();
        eprintln!(
            "{:>4} s: {} responses, {failed} failed",
            began.elapsed().as_secs(),
            sent.len()
        );
    }
    let outcomes = load.finish(LAST_RESPONSES).await;
    let mut wrong = Vec::new();
    println!("| operation | criticality | requests | failed | p50 | p99 | results | trace of the slowest |");
    println!("|---|---|---|---|---|---|---|---|");
    for operation in caller.contract().operations() {
        let own = outcomes
            .iter()
            .filter(|outcome| *outcome.operation == *operation.name);
        let own: Vec<Outcome> = own.cloned().collect();
        let slowest = own.iter().filter(|outcome| outcome.trace_id.is_some());
        let slowest = slowest.max_by_key(|outcome| outcome.took);
        let trace = slowest.and_then(|outcome| outcome.trace_id.as_deref());
        let trace = trace.map_or_else(|| "–".to_owned(), |trace_id| args.target.trace(trace_id));
        println!(
            "{} {trace} |",
            row(operation, criticality(&caller, operation), &own)
        );
        wrong.extend(undeclared(operation, &own));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n       ").into())
    }
}

fn criticality(caller: &Caller, operation: &Operation) -> &'static str {
    let mut flows = caller
        .flows()
        .iter()
        .filter(|flow| flow.steps.contains(&operation.id));
    match flows.clone().next() {
        None => "in no flow",
        Some(_) if flows.any(|flow| flow.criticality == Criticality::Critical) => "critical",
        Some(_) => "normal",
    }
}

fn row(operation: &Operation, criticality: &str, outcomes: &[Outcome]) -> String {
    let percentile = |percent: usize| {
        let time = percentile(outcomes, percent);
        time.map_or_else(
            || "–".to_owned(),
            |time| format!("{:.1} ms", time.as_secs_f64() * 1_000.0),
        )
    };
    let results = tally(outcomes).into_iter();
    let results = results.map(|((_, result), count)| format!("{result} ({count})"));
    format!(
        "| {} | {criticality} | {} | {} | {} | {} | {} |",
        operation.name,
        outcomes.len(),
        outcomes.iter().filter(|outcome| !outcome.is_ok()).count(),
        percentile(50),
        percentile(99),
        results.collect::<Vec<_>>().join(", ")
    )
}

/// The results that the contract does not declare for the operation.
fn undeclared(operation: &Operation, outcomes: &[Outcome]) -> Vec<String> {
    let is_declared = |result: &str| {
        let declared = operation.problems.iter();
        let mut declared =
            declared.flat_map(|(status, codes)| codes.iter().map(move |code| format!("{status} {code}")));
        operation
            .successes
            .iter()
            .any(|status| status.to_string() == result)
            || declared.any(|declared| declared == result)
    };
    let results = tally(outcomes).into_iter();
    let other = results.filter(|((_, result), _)| !is_declared(result));
    other
        .map(|((name, result), count)| {
            format!("{name}: {result} ({count}), which its contract does not declare")
        })
        .collect()
}
