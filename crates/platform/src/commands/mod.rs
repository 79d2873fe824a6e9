//! The commands of every service. Results go to standard output, everything else to standard error.

mod check;
#[cfg(feature = "jobs")]
mod jobs;
mod probe;
mod token;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{ArgMatches, Args, FromArgMatches, Subcommand};
use outcome::{catalogue_as_markdown, catalogue_as_rust};

use crate::{Role, Service, Settings, run};

const ABOUT: &str = "A service in which every request ends in a designed outcome";
const AFTER_HELP: &str =
    "Exit codes: 0 success, 1 failure (the reason is on standard error), 2 invalid usage.";

/// The options of every command.
#[derive(Args)]
struct Global {
    /// Folder that contains `{environment}.toml`.
    #[arg(long, global = true, env = "CONFIG_DIR", value_name = "FOLDER")]
    config: PathBuf,
}

/// The commands of a service.
#[derive(Subcommand)]
enum Command {
    /// Serve the API until SIGTERM or Ctrl-C.
    Serve {
        /// Also run jobs in this process, for development.
        #[cfg(feature = "jobs")]
        #[arg(long)]
        with_worker: bool,
    },
    /// Query a probe of the process on this host; exit code 0 if it succeeds. For images without a shell.
    Probe {
        /// The probe to query.
        #[arg(value_enum, default_value = "readyz")]
        probe: probe::Probe,
    },
    /// Apply the pending database migrations.
    Migrate {
        /// Afterwards, grant this role what a process of the service needs: for a service whose role does not own the
        /// tables.
        #[arg(long, value_name = "ROLE", env = "MIGRATE_GRANT_TO")]
        grant_to: Option<String>,
    },
    /// List all errors in the configuration; if there are none, check the dependencies and the database schema.
    Check,
    /// Print the catalogue of problem types.
    Problems {
        /// Print JSON instead of Markdown.
        #[arg(long)]
        json: bool,
        /// Print the client's Rust enum instead of Markdown.
        #[arg(long, conflicts_with = "json")]
        rust: bool,
    },
    /// Print the `OpenAPI` document.
    Openapi,
    /// Print the table of configuration keys.
    Configuration {
        /// Print a JSON schema of the TOML files instead.
        #[arg(long)]
        schema: bool,
    },
    /// Print a bearer token for development.
    Token(token::Args),
}

/// The additional commands of a service with jobs.
#[cfg(feature = "jobs")]
#[derive(Subcommand)]
enum JobCommand {
    /// Run jobs until SIGTERM or Ctrl-C.
    Work,
    /// List, show, retry, discard or cancel jobs.
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// Print sample payloads of all kinds of jobs, as JSON.
    Payloads,
}

/// The `main` of a service: runs the command given by the arguments.
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
    /// The command line of the service.
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
        // Last, because the doc comments of `Global` and the command enums would replace these texts.
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
        Command::Serve { with_worker: true } => run(&settings()?, service, Role::All),
        Command::Serve { .. } => run(&settings()?, service, Role::Api),
        Command::Probe { probe } => in_runtime(probe::run(probe, service.load(&folder).settings.as_ref())),
        Command::Migrate { grant_to } => {
            in_runtime(migrate(settings()?.as_ref(), service, grant_to.as_deref()))
        }
        Command::Check => in_runtime(check::run(service.load(&folder), service)),
        Command::Problems { json: true, .. } => {
            let rows: Vec<_> = definition.catalogue.iter().collect();
            print(&serde_json::to_string_pretty(&rows)?)
        }
        Command::Problems { rust: true, .. } => print(catalogue_as_rust(definition.catalogue).trim_end()),
        Command::Problems { .. } => print(catalogue_as_markdown(definition.catalogue).trim_end()),
        Command::Openapi => print(&definition.contract().document(&service.name()).to_pretty_json()?),
        Command::Configuration { schema: true } => {
            print(&serde_json::to_string_pretty(&settings::json_schema::<C>())?)
        }
        Command::Configuration { .. } => print(settings::markdown::<C>(service.config_folder).trim_end()),
        Command::Token(args) => {
            let settings = service.load(&folder).only(&["auth", "service"]).valid()?;
            print(&token::issue(&args, settings.as_ref(), definition)?)
        }
    }
}

/// A database error as text, for the terminal.
#[cfg(feature = "jobs")]
fn as_text(error: &database::DatabaseError) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

/// Prints a line. A closed pipe is an error, not a panic.
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

async fn migrate<C, S>(
    settings: &Settings,
    service: &Service<C, S>,
    grant_to: Option<&str>,
) -> anyhow::Result<()> {
    let schema = service.definition.schema;
    let applied = schema.migrate(&settings.database).await?;
    eprintln!(
        "{applied} migration(s) applied; the schema is at {}",
        schema.needed()
    );
    if let Some(role) = grant_to {
        schema.grant_to(&settings.database, role).await?;
        eprintln!(
            "the role {role} may read and write the rows of all tables, except the records of migrations"
        );
    }
    Ok(())
}
