//! Developer tools. `make` calls them; `tools --help` lists them.

mod bench;
mod load; // sample
mod rollout; // sample
mod stack; // sample

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// The error of a tool, worded for the person who started it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The benchmark, and tests of the service under load and injected faults.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 success, 1 error or failed check (reason on standard error), 2 wrong usage."
)]
struct Cli {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand)]
enum Tool {
    /// Print round trips per request, memory at rest and startup time; needs Postgres and Redis.
    Bench {
        /// Path of the service's binary, built with `--release`.
        binary: PathBuf,
    },
    // sample: begin
    /// Place orders while their worker is killed repeatedly; each order must be confirmed once.
    Soak {
        /// Path of the service's binary, built with `--release`.
        binary: PathBuf,
        /// Number of orders to place.
        #[arg(long, default_value_t = 10_000)]
        orders: usize,
        /// Number of times the worker is killed.
        #[arg(long, default_value_t = 20)]
        kills: usize,
    },
    /// Check the compose stack from outside, and run drills on it.
    #[command(subcommand)]
    Stack(stack::Command),
    /// Run rollout drills on the cluster of kubectl's context.
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
            println!("placing {orders} orders; killing the worker {kills} times while it confirms them");
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
