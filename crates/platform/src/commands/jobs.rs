//! `api jobs`

use ::jobs::{self, RunSummary};
use clap::Subcommand;
use uuid::Uuid;

use super::{in_words, print};
use crate::{Definition, Platform, Settings};

#[derive(Subcommand)]
pub(super) enum Command {
    /// The newest hundred jobs.
    List {
        /// Only those that are out of attempts.
        #[arg(long)]
        dead: bool,
        /// As JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// One job, with its last error, as JSON.
    Show {
        /// Its id.
        id: Uuid,
    },
    /// Let a dead or failed job start again, up to three times.
    Retry {
        /// Its id.
        id: Uuid,
    },
    /// Delete a job that waits or has failed.
    Discard {
        /// Its id.
        id: Uuid,
    },
}

pub(super) async fn run(
    command: &Command,
    settings: &Settings,
    definition: &Definition,
) -> anyhow::Result<()> {
    let platform = Platform::new(settings, definition)?;
    let database = &platform.checks;
    match command {
        Command::List { dead, json } => {
            let runs = jobs::list(database, *dead).await.map_err(in_words)?;
            if *json {
                print(&serde_json::to_string_pretty(&runs)?)
            } else {
                print(&table(&runs))
            }
        }
        Command::Show { id } => {
            let run = jobs::show(database, *id).await.map_err(in_words)?;
            let run = run.ok_or_else(|| anyhow::anyhow!("there is no job {id}"))?;
            print(&serde_json::to_string_pretty(&run)?)
        }
        Command::Retry { id } => {
            let retried = jobs::retry(database, *id).await.map_err(in_words)?;
            anyhow::ensure!(
                retried,
                "there is no dead or failed job {id}; see `api jobs list`"
            );
            eprintln!("job {id} is queued again");
            Ok(())
        }
        Command::Discard { id } => {
            let discarded = jobs::discard(database, *id).await.map_err(in_words)?;
            anyhow::ensure!(
                discarded,
                "there is no waiting, dead or failed job {id}; see `api jobs list`"
            );
            eprintln!("job {id} is deleted");
            Ok(())
        }
    }
}

fn table(runs: &[RunSummary]) -> String {
    let mut text = format!(
        "{:<36}  {:<20} {:<9} {:>8}  {}",
        "id", "kind", "status", "attempts", "last error"
    );
    for run in runs {
        let error = run.last_error.as_deref().unwrap_or_default();
        let error: String = error.chars().take(60).collect();
        let attempts = format!("{}/{}", run.attempt, run.attempts_allowed);
        text.push_str(&format!(
            "\n{:<36}  {:<20} {:<9} {attempts:>8}  {error}",
            run.id, run.kind, run.status
        ));
    }
    text
}
