//! The commands of every service. Results go to standard output, everything else to standard error.

mod check;
#[cfg(feature = "jobs")]
mod jobs;
mod probe;
mod token;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{ArgMatches, Args, FromArgMatches, Subcommand};
use outcome::{Refusal, catalogue_as_markdown, catalogue_as_rust};

use crate::{Role, Service, Settings, run};

const ABOUT: &str = "A service in which every request ends in a designed outcome";
const AFTER_HELP: &str = "Exit codes: 0 done, 1 failed (the reason is on standard error), 2 wrong usage.";

/// What stands beside every command.
#[derive(Args)]
struct Global {
    /// Folder with `{environment}.toml`.
    #[arg(long, global = true, env = "CONFIG_DIR", value_name = "FOLDER")]
    config: PathBuf,
}

/// The commands of a service.
#[derive(Subcommand)]
enum Command {
    /// Serve the API until SIGTERM or Ctrl-C.
    Serve {
        /// Work off jobs in the same process, for development.
        #[cfg(feature = "jobs")]
        #[arg(long)]
        with_worker: bool,
    },
    /// Ask the process on this host for its health; exit code 0 when it is healthy. For images without a shell.
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
    Configuration {
        /// As a JSON schema of the TOML files.
        #[arg(long)]
        schema: bool,
    },
    /// Print a token for development.
    Token(token::Args),
}

/// The commands of a service that has jobs.
#[cfg(feature = "jobs")]
#[derive(Subcommand)]
enum JobCommand {
    /// Work off jobs until SIGTERM or Ctrl-C.
    Work,
    /// See and steer jobs.
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// Print samples of what jobs are queued with.
    Payloads,
}

/// The `main` of a service: runs the command that the arguments name.
pub fn main<C, S>(service: &Service<C, S>) -> ExitCode
where
    C: settings::Settings + AsRef<Settings>,
    S: Send + Sync + 'static,
{
    match execute(service, &service.commands().get_matches()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl<C, S> Service<C, S> {
    /// The commands that it has.
    pub fn commands(&self) -> clap::Command {
        let cli = clap::Command::new("api")
            .version(self.definition.version)
            .subcommand_required(true)
            .arg_required_else_help(true);
        let cli = Command::augment_subcommands(Global::augment_args(cli));
        #[cfg(feature = "jobs")]
        let cli = if self.definition.jobs {
            JobCommand::augment_subcommands(cli)
        } else {
            cli
        };
        // Last, since the documentation of a group of commands would take the place of these words.
        cli.about(ABOUT)
            .long_about(None)
            .after_help(AFTER_HELP)
            .mut_arg("config", |config| {
                config.required(false).default_value(self.config_folder)
            })
    }
}

fn execute<C, S>(service: &Service<C, S>, arguments: &ArgMatches) -> anyhow::Result<()>
where
    C: settings::Settings + AsRef<Settings>,
    S: Send + Sync + 'static,
{
    let folder = Global::from_arg_matches(arguments)?.config;
    let settings = || service.load(&folder).valid();
    #[cfg(feature = "jobs")]
    if let Ok(command) = JobCommand::from_arg_matches(arguments) {
        return match command {
            JobCommand::Work => run(&settings()?, service, Role::Worker),
            JobCommand::Jobs(command) => {
                in_runtime(jobs::run(&command, settings()?.as_ref(), &service.definition))
            }
            JobCommand::Payloads => print(&serde_json::to_string_pretty(&::jobs::payloads(service.kinds))?),
        };
    }
    let definition = &service.definition;
    match Command::from_arg_matches(arguments)? {
        #[cfg(feature = "jobs")]
        Command::Serve { with_worker: true } => run(&settings()?, service, Role::Both),
        Command::Serve { .. } => run(&settings()?, service, Role::Api),
        Command::Probe { probe } => in_runtime(probe::run(probe, service.load(&folder).settings.as_ref())),
        Command::Migrate => in_runtime(migrate(settings()?.as_ref(), service)),
        Command::Check => in_runtime(check::run(service.load(&folder), definition)),
        Command::Problems { json: true, .. } => {
            let rows: Vec<_> = definition.catalogue.iter().collect();
            print(&serde_json::to_string_pretty(&rows)?)
        }
        Command::Problems { rust: true, .. } => print(catalogue_as_rust(definition.catalogue).trim_end()),
        Command::Problems { .. } => print(catalogue_as_markdown(definition.catalogue).trim_end()),
        Command::Openapi => print(&definition.contract().document().to_pretty_json()?),
        Command::Configuration { schema: true } => {
            print(&serde_json::to_string_pretty(&settings::json_schema::<C>())?)
        }
        Command::Configuration { .. } => print(settings::markdown::<C>(service.config_folder).trim_end()),
        Command::Token(args) => print(&token::issue(&args, settings()?.as_ref(), definition)?),
    }
}

/// An error of the database, in words for the person at the terminal.
fn in_words(error: database::Fault) -> anyhow::Error {
    anyhow::anyhow!("{}", error.into_problem())
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

async fn migrate<C, S>(settings: &Settings, service: &Service<C, S>) -> anyhow::Result<()> {
    let schema = service.definition.schema;
    let applied = schema.migrate(&settings.database).await?;
    eprintln!(
        "{applied} migration(s) applied; the schema is at {}",
        schema.needed()
    );
    Ok(())
}
