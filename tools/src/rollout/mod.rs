//! Drills of staged rollouts on the cluster that kubectl points at: sick releases under load, from outside.

mod cluster;
#[path = "../stack/load.rs"]
mod load;
mod network;
mod release;
mod restart;
mod scenarios;
mod stage;
mod surroundings;

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use self::{
    cluster::Cluster,
    scenarios::{ON_DEMAND, SCENARIOS},
    stage::Row,
};

/// Why something could not be done, in words for whoever started it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "usage: drill-rollout [SCENARIO]

Releases real images, good and sick ones, to a service of its own label on the cluster that kubectl points at, with
a constant load from outside, and checks what becomes of them. Without SCENARIO all of them but `network`, which needs
a cluster that enforces NetworkPolicies: some 55 minutes.

  RUNS=3                            so many times
  LOAD='kind load docker-image'     how an image gets to the nodes (found out for kind and k3d)
  URL=http://10.0.0.1:30080         where the service answers (its NodePort on the first node, when not told)

Exit codes: 0 everything held, 1 something did not or could not be tried, 64 wrong use.

Scenarios:";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let chosen: Vec<_> = match arguments.first().map(String::as_str) {
        None => SCENARIOS
            .iter()
            .filter(|scenario| scenario.name != ON_DEMAND)
            .collect(),
        Some(name) => SCENARIOS
            .iter()
            .filter(|scenario| scenario.name == name)
            .collect(),
    };
    let runs = std::env::var("RUNS").map_or(Ok(1), |runs| runs.parse::<u32>());
    let (Ok(runs), false, true) = (runs, chosen.is_empty(), arguments.len() < 2) else {
        eprintln!("{USAGE}");
        for scenario in SCENARIOS {
            eprintln!("  {:<22} {}", scenario.name, scenario.expected);
        }
        return ExitCode::from(64);
    };
    match drill(&chosen, runs).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
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
