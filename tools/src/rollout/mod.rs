//! Rollout drills on the cluster of kubectl's context: releases with injected faults, under load from outside.

mod cluster;
mod environment_faults;
mod network;
mod release;
mod restart;
mod scenario_run;
mod scenarios;

use clap::Args as ClapArgs;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    cluster::Cluster,
    scenario_run::Row,
    scenarios::{ON_DEMAND, SCENARIOS},
};
use crate::{Failure, load};

/// Release real images, good and faulty ones, to a service with its own label on the cluster of kubectl's context,
/// under constant load from outside, and check the results. Without a scenario, run all but `network`, which needs a
/// cluster that enforces NetworkPolicies; this takes some 55 minutes. LOAD='kind load docker-image' copies the images
/// to the nodes (kind and k3d are detected); URL=http://10.0.0.1:30080 is the address of the service (default: its
/// NodePort on the first node).
#[derive(ClapArgs)]
#[command(after_help = scenarios())]
pub(crate) struct Args {
    /// One of the scenarios below.
    scenario: Option<String>,
    /// Number of times each scenario runs.
    #[arg(long, env = "RUNS", default_value_t = 1)]
    runs: u32,
}

fn scenarios() -> String {
    let lines = SCENARIOS
        .iter()
        .map(|scenario| format!("\n  {:<22} {}", scenario.name, scenario.expected));
    format!("Scenarios:{}", lines.collect::<String>())
}

/// Runs the chosen scenarios and prints a table of the results; an error lists the checks that failed.
pub(crate) async fn run(args: &Args) -> Result<(), Failure> {
    let wanted = |scenario: &&scenarios::Scenario| match &args.scenario {
        Some(name) => scenario.name == name,
        None => scenario.name != ON_DEMAND,
    };
    let chosen: Vec<_> = SCENARIOS.iter().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(format!("unknown scenario. {}", scenarios()).into());
    }
    drill(&chosen, args.runs).await
}

async fn drill(chosen: &[&'static scenarios::Scenario], runs: u32) -> Result<(), Failure> {
    let cluster = Cluster::connect()?;
    println!(
        "cluster {}, {} replicas, {} requests per second; windows of the overlay `local`: {}",
        cluster.context,
        cluster.replicas,
        scenario_run::PER_SECOND,
        scenario_run::WINDOWS
    );
    let (mut rows, mut interrupted) = (Vec::new(), false);
    // Registered once: a signal that arrives while a scenario blocks must not be lost.
    let mut interrupt = signal(SignalKind::interrupt())?;
    'all: for run in 1..=runs {
        for scenario in chosen {
            eprintln!("==> {} ({run} of {runs})", scenario.name);
            let row = tokio::select! {
                row = scenario_run::play(&cluster, scenario) => row,
                _ = interrupt.recv() => { interrupted = true; break 'all; }
            };
            eprintln!(
                "    {}",
                if row.failures.is_empty() {
                    "passed"
                } else {
                    "FAILED"
                }
            );
            rows.push(row);
        }
    }
    cluster.restore();
    println!(
        "\n| scenario | must hold | seen | requests | failed | most failed in 1 s |\n|---|---|---|---|---|---|"
    );
    for row in &rows {
        println!("{row}");
    }
    let mut failures: Vec<String> = rows.iter().flat_map(Row::named_failures).collect();
    if interrupted {
        failures.push("interrupted; a release may be in progress: make release-status ENV=local".to_owned());
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(failures.join("\n       ").into())
}
