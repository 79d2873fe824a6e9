//! Developer tools: the benchmark, checks of a running service, and tests under load and injected faults.

mod bench;
mod contract_test;
mod environment;
mod load;
mod proxy_idle_reuse;
mod rollout; // sample
mod smoke;
pub mod soak;
mod stack;
mod target;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// The error of a tool, worded for the person who started it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The benchmark, checks of a running service, and tests under load and injected faults.
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
    /// Print what 1,000 hostile connections cost the other clients; needs Postgres and Redis.
    BenchHostile {
        /// Path of the service's binary, built with `--release`.
        binary: PathBuf,
    },
    // sample: begin
    /// Print what a backlog of jobs costs while the supplier is down; needs Postgres and Redis.
    BenchBacklog {
        /// Path of the service's binary, built with `--release`.
        binary: PathBuf,
    },
    // sample: end
    /// Print the throughput and latency of jobs, and the connections of a worker; needs Postgres and Redis.
    BenchJobs(bench::jobs::Args), // sample
    /// Run Schemathesis on a process of the service; needs Postgres and Redis.
    ContractTest {
        /// Path of the service's binary.
        binary: PathBuf,
        /// Seed of the requests, in place of that in `schemathesis.toml`.
        #[arg(long, env = "SEED")]
        seed: Option<String>,
    },
    /// Send the example of every operation, and the requests that each service refuses; print results and traces.
    Smoke(smoke::Args),
    /// Run the flows of the service for some time; print a row for each operation.
    Load(load::Args),
    /// Run the flows of the service while its worker is killed repeatedly; each job must succeed once.
    Soak {
        /// Path of the service's binary, built with `--release`.
        binary: PathBuf,
        /// Number of flows to run.
        #[arg(long, env = "FLOWS", default_value_t = 10_000)]
        flows: usize,
        /// Number of times the worker is killed.
        #[arg(long, env = "KILLS", default_value_t = 20)]
        kills: usize,
    },
    /// Send 2,000 requests through nginx after idle times near every limit; needs Postgres, Redis and nginx.
    ProxyIdleReuse {
        /// Path of the service's binary.
        binary: PathBuf,
    },
    /// Check the compose stack from outside, and run drills on it.
    #[command(subcommand)]
    Stack(stack::Command),
    // sample: begin
    /// Run rollout drills on the cluster of kubectl's context.
    DrillRollout(rollout::Args),
    // sample: end
}

/// Runs the tool that the arguments name.
pub async fn main() -> ExitCode {
    let result = match Cli::parse().tool {
        Tool::Bench { binary } => {
            bench::print(&binary).await;
            Ok(())
        }
        Tool::BenchHostile { binary } => bench::hostile::print(&binary).await,
        Tool::BenchBacklog { binary } => bench::backlog::run(&binary).await, // sample
        Tool::BenchJobs(args) => bench::jobs::run(&args).await,              // sample
        Tool::ContractTest { binary, seed } => contract_test::run(&binary, seed.as_deref()).await,
        Tool::Smoke(args) => smoke::run(&args).await,
        Tool::Load(args) => load::run(&args).await,
        Tool::Soak { binary, flows, kills } => {
            println!("running {flows} flows; killing the worker {kills} times while it runs their jobs");
            let environment = environment::Environment::new(&binary).await;
            let progress = |progress: &str| println!("{progress}");
            let soaked = soak::soak(environment.processes(), flows, kills, progress).await;
            soaked.map(|soaked| println!("{soaked}"))
        }
        Tool::ProxyIdleReuse { binary } => proxy_idle_reuse::run(&binary).await,
        Tool::Stack(command) => stack::run(&command).await,
        Tool::DrillRollout(args) => rollout::run(&args).await, // sample
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
