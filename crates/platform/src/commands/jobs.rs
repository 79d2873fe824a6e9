//! `api jobs`: lists, shows, retries, discards and cancels jobs.

use std::fmt::Write;

use ::jobs::{self, Cancelled, Filter, RunSummary, Status};
use chrono::{DateTime, Utc};
use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use uuid::Uuid;

use super::{as_text, print};
use crate::{Platform, ServiceDefinition, Settings};

#[derive(Subcommand)]
pub(super) enum Command {
    /// List jobs, the newest first.
    List {
        #[command(flatten)]
        choice: Choice,
        /// Only jobs with this status; can be repeated.
        #[arg(long, value_parser = one_of(Status::ALL))]
        status: Vec<Status>,
        /// The maximum number of jobs.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100_000))]
        limit: i64,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Print one job, with its last error, as JSON.
    Show {
        /// Id of the job.
        id: Uuid,
    },
    /// Return a dead, failed or cancelled job to the queue, as if it were new; with --all, every dead one.
    Retry {
        #[command(flatten)]
        target: Target,
        /// With --all: jobs with this status instead of dead ones; can be repeated.
        #[arg(long, requires = "all", value_parser = one_of(RETRIABLE))]
        status: Vec<Status>,
    },
    /// Delete a job that is not running; with --all, every dead one.
    Discard {
        #[command(flatten)]
        target: Target,
        /// With --all: jobs with this status instead of dead ones; can be repeated.
        #[arg(long, requires = "all", value_parser = one_of(DISCARDABLE))]
        status: Vec<Status>,
    },
    /// Cancel a job: a queued one immediately; a running one is asked to end, and aborted if it does not.
    Cancel {
        /// Id of the job.
        id: Uuid,
    },
}

/// One job, or a choice of jobs.
#[derive(Args)]
pub(super) struct Target {
    /// Id of the job.
    #[arg(required_unless_present = "all", conflicts_with_all = ["all", "kind", "since"])]
    id: Option<Uuid>,
    /// Every dead job that --kind and --since choose.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    choice: Choice,
}

#[derive(Args)]
pub(super) struct Choice {
    /// Only jobs of this kind.
    #[arg(long)]
    kind: Option<String>,
    /// Only jobs enqueued since then: a time such as `2026-01-31T08:00:00Z`, or a duration such as `90m`, `24h` or `7d`.
    #[arg(long, value_parser = since)]
    since: Option<DateTime<Utc>>,
}

/// The statuses of jobs that can be retried.
const RETRIABLE: [Status; 3] = [Status::Failed, Status::Dead, Status::Cancelled];
/// The statuses of jobs that can be deleted.
const DISCARDABLE: [Status; 5] = [
    Status::Queued,
    Status::Succeeded,
    Status::Failed,
    Status::Dead,
    Status::Cancelled,
];

/// Parses the name of one of these statuses.
fn one_of<const N: usize>(statuses: [Status; N]) -> impl TypedValueParser<Value = Status> {
    let names = PossibleValuesParser::new(statuses.map(Status::name));
    names.map(|name| {
        let all = Status::ALL.into_iter();
        let mut named = all.filter(|status| status.name() == name);
        named.next().expect("the name of a status")
    })
}

impl Choice {
    fn filter(&self, statuses: &[Status]) -> Filter {
        Filter {
            id: None,
            kind: self.kind.clone(),
            statuses: statuses.to_vec(),
            since: self.since,
        }
    }
}

impl Target {
    /// The chosen jobs: the one with the id whatever its status, else those with these statuses.
    fn filter(&self, statuses: &[Status]) -> Filter {
        match self.id {
            Some(id) => Filter::one(id),
            None if statuses.is_empty() => self.choice.filter(&[Status::Dead]),
            None => self.choice.filter(statuses),
        }
    }
}

fn since(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let duration = <std::time::Duration as settings::Setting>::parse(text).map_err(|_| {
        "must be a time such as 2026-01-31T08:00:00Z or a duration such as 90m, 24h or 7d".to_owned()
    })?;
    let ago = chrono::TimeDelta::from_std(duration).ok();
    let time = ago.and_then(|ago| Utc::now().checked_sub_signed(ago));
    time.ok_or_else(|| "is too long ago".to_owned())
}

pub(super) async fn run(
    command: &Command,
    settings: &Settings,
    definition: &ServiceDefinition,
) -> anyhow::Result<()> {
    let platform = Platform::new(settings, definition)?;
    let database = &platform.checks;
    let progress = |verb: &'static str| move |count: u64| eprintln!("{count} jobs {verb} so far");
    match command {
        Command::List {
            choice,
            status,
            limit,
            json,
        } => {
            let runs = jobs::list(database, choice.filter(status), *limit).await;
            let runs = runs.map_err(|error| as_text(&error))?;
            if *json {
                print(&serde_json::to_string_pretty(&runs)?)
            } else {
                print(&table(&runs))
            }
        }
        Command::Show { id } => {
            let runs = jobs::list(database, Filter::one(*id), 1).await;
            let run = runs.map_err(|error| as_text(&error))?.pop();
            let run = run.ok_or_else(|| anyhow::anyhow!("there is no job {id}"))?;
            print(&serde_json::to_string_pretty(&run)?)
        }
        Command::Retry { target, status } => {
            let retried = jobs::retry(database, target.filter(status), progress("queued again")).await;
            let retried = retried.map_err(|error| as_text(&error))?;
            report(
                target,
                retried,
                "queued again",
                "dead, failed or cancelled and whose unique key is free",
            )
        }
        Command::Discard { target, status } => {
            let discarded = jobs::discard(database, target.filter(status), progress("deleted")).await;
            let discarded = discarded.map_err(|error| as_text(&error))?;
            report(target, discarded, "deleted", "queued or ended")
        }
        Command::Cancel { id } => {
            let cancelled = jobs::cancel(database, *id).await;
            match cancelled.map_err(|error| as_text(&error))? {
                Some(Cancelled::Now) => eprintln!("job {id} is cancelled"),
                Some(Cancelled::Requested) => {
                    eprintln!("job {id} is running; its worker ends it within seconds");
                }
                None => anyhow::bail!("there is no queued or running job {id}; see `api jobs list`"),
            }
            Ok(())
        }
    }
}

/// Prints what was done. Nothing done is an error for one job, and a result for a choice.
fn report(target: &Target, count: u64, done: &str, needed: &str) -> anyhow::Result<()> {
    if let Some(id) = target.id {
        anyhow::ensure!(
            count == 1,
            "there is no job {id} that is {needed}; see `api jobs list`"
        );
        eprintln!("job {id} is {done}");
    } else {
        eprintln!("{count} jobs {done}");
    }
    Ok(())
}

fn table(runs: &[RunSummary]) -> String {
    let mut text = format!(
        "{:<36}  {:<20} {:<9} {:>8} {:>8} {:>9}  LAST ERROR",
        "ID", "KIND", "STATUS", "ATTEMPTS", "FAILURES", "POSTPONED"
    );
    for run in runs {
        let error = run.last_error.as_deref().unwrap_or_default();
        let error: String = error.chars().take(60).collect();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n{:<36}  {:<20} {:<9} {:>8} {:>8} {:>9}  {error}",
            run.id, run.kind, run.status, run.attempt, run.failures, run.postponements
        );
    }
    text
}
