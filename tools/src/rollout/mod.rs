//! Drills of staged rollouts on the cluster that kubectl points at: sick releases under load, from outside.

mod cluster;
mod network;
mod release;
mod restart;
mod scenarios;
mod stage;
mod surroundings;

use clap::Args as ClapArgs;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    cluster::Cluster,
    scenarios::{ON_DEMAND, SCENARIOS},
    stage::Row,
};
use crate::{Failure, load};

/// Releases real images, good and sick ones, to a service of its own label on the cluster that kubectl points at, with a
/// constant load from outside, and checks what becomes of them. Without a scenario all of them but `network`, which needs
/// a cluster that enforces NetworkPolicies: some 55 minutes. LOAD='kind load docker-image' is how an image gets to the
/// nodes (found out for kind and k3d); URL=http://10.0.0.1:30080 is where the service answers (its NodePort on the first
/// node, when it is not set).
#[derive(ClapArgs)]
#[command(after_help = scenarios())]
pub struct Args {
    /// One of the scenarios below.
    scenario: Option<String>,
    /// How many times.
    #[arg(long, env = "RUNS", default_value_t = 1)]
    runs: u32,
}

fn scenarios() -> String {
    let lines = SCENARIOS
        .iter()
        .map(|scenario| format!("\n  {:<22} {}", scenario.name, scenario.expected));
    format!("Scenarios:{}", lines.collect::<String>())
}

/// Plays the scenarios.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let wanted = |scenario: &&scenarios::Scenario| match &args.scenario {
        Some(name) => scenario.name == name,
        None => scenario.name != ON_DEMAND,
    };
    let chosen: Vec<_> = SCENARIOS.iter().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(format!("there is no such scenario. {}", scenarios()).into());
    }
    drill(&chosen, args.runs).await
}

async fn drill(chosen: &[&'static scenarios::Scenario], runs: u32) -> Result<(), Failure> {
    let cluster = Cluster::reach()?;
    println!(
        "cluster {}, {} replicas, {} requests a second; windows of the overlay `local`: {}",
        cluster.context,
        cluster.replicas,
        stage::PER_SECOND,
        stage::WINDOWS
    );
    let (mut rows, mut interrupted) = (Vec::new(), false);
    // Once: what comes while a scenario does not yield must not be lost.
    let mut interrupt = signal(SignalKind::interrupt())?;
    'all: for run in 1..=runs {
        for scenario in chosen {
            eprintln!("==> {} ({run} of {runs})", scenario.name);
            let row = tokio::select! {
                row = stage::play(&cluster, scenario) => row,
                _ = interrupt.recv() => { interrupted = true; break 'all; }
            };
            eprintln!(
                "    {}",
                if row.faults.is_empty() {
                    "held"
                } else {
                    "DID NOT HOLD"
                }
            );
            rows.push(row);
        }
    }
    cluster.restore();
    println!(
        "\n| scenario | must hold | seen | requests | failed | most failed in 1 s |\n|---|---|---|---|---|---|"
    );
    rows.iter().for_each(|row| println!("{row}"));
    let mut faults: Vec<String> = rows.iter().flat_map(Row::told).collect();
    if interrupted {
        faults.push("interrupted; a release may be under way: make release-status ENV=local".to_owned());
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(faults.join("\n       ").into())
}
