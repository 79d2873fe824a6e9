//! `api jobs`: lists, shows, retries and discards jobs.

use std::fmt::Write;

use ::jobs::{self, RunSummary};
use clap::Subcommand;
use uuid::Uuid;

use super::{as_text, print};
use crate::{Platform, ServiceDefinition, Settings};

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the newest 100 jobs.
    List {
        /// List only dead jobs, which are out of attempts.
        #[arg(long)]
        dead: bool,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Print one job, with its last error, as JSON.
    Show {
        /// Id of the job.
        id: Uuid,
    },
    /// Queue a dead or failed job again, with up to three more attempts.
    Retry {
        /// Id of the job.
        id: Uuid,
    },
    /// Delete a job that is queued, failed or dead.
    Discard {
        /// Id of the job.
        id: Uuid,
    },
}

pub(super) async fn run(
    command: &Command,
    settings: &Settings,
    definition: &ServiceDefinition,
) -> anyhow::Result<()> {
    let platform = Platform::new(settings, definition)?;
    let database = &platform.checks;
    match command {
        Command::List { dead, json } => {
            let runs = jobs::list(database, *dead)
                .await
                .map_err(|error| as_text(&error))?;
            if *json {
                print(&serde_json::to_string_pretty(&runs)?)
            } else {
                print(&table(&runs))
            }
        }
        Command::Show { id } => {
            let run = jobs::show(database, *id).await.map_err(|error| as_text(&error))?;
            let run = run.ok_or_else(|| anyhow::anyhow!("there is no job {id}"))?;
            print(&serde_json::to_string_pretty(&run)?)
        }
        Command::Retry { id } => {
            let retried = jobs::retry(database, *id)
                .await
                .map_err(|error| as_text(&error))?;
            anyhow::ensure!(
                retried,
                "there is no dead or failed job {id}; see `api jobs list`"
            );
            eprintln!("job {id} is queued again");
            Ok(())
        }
        Command::Discard { id } => {
            let discarded = jobs::discard(database, *id)
                .await
                .map_err(|error| as_text(&error))?;
            anyhow::ensure!(
                discarded,
                "there is no queued, dead or failed job {id}; see `api jobs list`"
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
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n{:<36}  {:<20} {:<9} {attempts:>8}  {error}",
            run.id, run.kind, run.status
        );
    }
    text
}
