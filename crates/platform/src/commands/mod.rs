//! The subcommands. Results go to standard output, everything else to standard error.

mod check;
mod jobs;
mod probe;
mod token;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Parser, Subcommand};
use outcome::{catalogue_as_markdown, catalogue_as_rust};
use platform::{
    Role,
    config::{self, Settings},
    http::document,
    jobs::payloads,
};

use crate::service::{DEFAULT_TOML, SERVICE};

/// A service in which every request ends in a designed outcome.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done, 1 failed (the reason is on standard error), 2 wrong usage."
)]
struct Cli {
    /// Folder with `{environment}.toml`.
    #[arg(
        long,
        global = true,
        env = "CONFIG_DIR",
        default_value = "services/api/config",
        value_name = "FOLDER"
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API until SIGTERM or Ctrl-C.
    Serve {
        /// Work off jobs in the same process, for development.
        #[arg(long)]
        with_worker: bool,
    },
    /// Work off jobs until SIGTERM or Ctrl-C.
    Work,
    /// See and steer jobs.
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// Ask the process that runs here how it is; 0 when it is well. For images without a shell.
    Probe {
        /// What to ask for.
        #[arg(value_enum, default_value = "readyz")]
        probe: probe::Probe,
    },
    /// Bring the database's schema up to date.
    Migrate,
    /// List everything wrong with the configuration; then ask the dependencies and look at the schema.
    Check,
    /// Print the catalogue of problems.
    Problems {
        /// As JSON instead of Markdown.
        #[arg(long)]
        json: bool,
        /// As the client's enum, in Rust.
        #[arg(long, conflicts_with = "json")]
        rust: bool,
    },
    /// Print the OpenAPI document.
    Openapi,
    /// Print the table of configuration keys.
    Configuration,
    /// Print samples of what jobs are queued with.
    Payloads,
    /// Print a token for development.
    Token(token::Args),
}

/// Runs the subcommand that the arguments name.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match execute(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: &Cli) -> anyhow::Result<()> {
    match &cli.command {
        Command::Serve { with_worker: false } => platform::run(settings(cli)?, SERVICE, Role::Api),
        Command::Serve { with_worker: true } => platform::run(settings(cli)?, SERVICE, Role::Both),
        Command::Work => platform::run(settings(cli)?, SERVICE, Role::Worker),
        Command::Jobs(command) => in_runtime(jobs::run(command, settings(cli)?)),
        Command::Probe { probe } => in_runtime(probe::run(
            *probe,
            &config::load(DEFAULT_TOML, &cli.config).settings,
        )),
        Command::Migrate => in_runtime(migrate(settings(cli)?)),
        Command::Check => in_runtime(check::run(config::load(DEFAULT_TOML, &cli.config))),
        Command::Problems { json: true, .. } => {
            let rows: Vec<_> = SERVICE.catalogue.iter().collect();
            print(&serde_json::to_string_pretty(&rows)?)
        }
        Command::Problems { rust: true, .. } => print(catalogue_as_rust(SERVICE.catalogue).trim_end()),
        Command::Problems { .. } => print(catalogue_as_markdown(SERVICE.catalogue).trim_end()),
        Command::Openapi => {
            print(&document(SERVICE.configure, SERVICE.catalogue, SERVICE.version).to_pretty_json()?)
        }
        Command::Configuration => print(config::as_markdown().trim_end()),
        Command::Payloads => print(&serde_json::to_string_pretty(&payloads(SERVICE.jobs))?),
        Command::Token(args) => print(&token::issue(args, &settings(cli)?)?),
    }
}

fn settings(cli: &Cli) -> anyhow::Result<Settings> {
    config::load(DEFAULT_TOML, &cli.config).valid()
}

/// Prints a line; a reader that went away is no reason to panic.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{text}").context("cannot write to standard output")
}

fn in_runtime<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

async fn migrate(settings: Settings) -> anyhow::Result<()> {
    let applied = SERVICE.schema.migrate(&settings.database).await?;
    eprintln!(
        "{applied} migration(s) applied; the schema is at {}",
        SERVICE.schema.needed()
    );
    Ok(())
}
