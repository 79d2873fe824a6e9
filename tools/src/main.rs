//! Programs for people. `make` calls them; `tools --help` lists them.

mod bench;
mod load; // sample
mod rollout; // sample
mod stack; // sample

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Why something could not be done, in words for the person who started it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The benchmark, and what proves the service under load and faults.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done, 1 something did not hold or could not be done (the reason is on standard error), 2 wrong usage."
)]
struct Cli {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand)]
enum Tool {
    /// Print round trips per request, memory at rest and time to start; it needs Postgres and Redis.
    Bench {
        /// The service's binary, of the release build.
        binary: PathBuf,
    },
    // sample: begin
    /// Place orders while their worker is killed again and again; each must be confirmed once.
    Soak {
        /// The service's binary, of the release build.
        binary: PathBuf,
        /// How many orders.
        #[arg(long, default_value_t = 10_000)]
        orders: usize,
        /// How often the worker is killed.
        #[arg(long, default_value_t = 20)]
        kills: usize,
    },
    /// The compose stack from outside: whether it is up, what it answers, and drills.
    #[command(subcommand)]
    Stack(stack::Command),
    /// Drills of staged rollouts on the cluster that kubectl points at.
    DrillRollout(rollout::Args),
    // sample: end
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().tool {
        Tool::Bench { binary } => {
            bench::print(&binary).await;
            Ok(())
        }
        // sample: begin
        Tool::Soak {
            binary,
            orders,
            kills,
        } => {
            println!("placing {orders} orders, and killing the worker {kills} times while it confirms them");
            let progress = |progress: &str| println!("{progress}");
            println!("{}", tools::soak::soak(&binary, orders, kills, progress).await);
            Ok(())
        }
        Tool::Stack(command) => stack::run(&command).await,
        Tool::DrillRollout(args) => rollout::run(&args).await,
        // sample: end
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error: Failure = error;
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
