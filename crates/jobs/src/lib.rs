#![doc = include_str!("../README.md")]

mod attempt;
mod deliver;
mod error;
mod housekeeping;
mod kind;
mod metrics;
mod payloads;
pub mod problems;
mod queue;
mod settings;
mod store;
mod watched;
mod worker;

pub use self::settings::Settings;
pub use error::JobError;
pub use housekeeping::MAINTENANCE_JOBS;
pub use kind::{BoundKind, JobKind, Run};
pub use metrics::JobMetrics;
pub use payloads::{Payloads, payloads, unreadable};
pub use queue::{Queue, QueueRefusal, enqueue};
pub use store::{JobView, RunSummary, discard, find, list, retry, show};
pub use worker::{Worker, WorkerParts};

use std::{future::Future, time::Duration};

use database::{MigrationSet, Transaction};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::migrate::Migrator;

static MIGRATOR: Migrator = sqlx::migrate!();

/// The tables of this crate, and the schema of the library that delivers.
pub static MIGRATIONS: MigrationSet =
    MigrationSet::of_crate("_migrations_jobs", &MIGRATOR).with_library(worker::LIBRARY);

/// A kind of work. The value is its payload: small, and readable by the releases before and after.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Names it in the database, metrics and logs; never changes.
    const KIND: &'static str;
    /// Starts allowed, the first included; then it is dead.
    const ATTEMPTS: i32 = 5;
    /// Time for one attempt.
    const TIMEOUT: Duration = Duration::from_secs(30);
    /// What it works with: the state of its service.
    type State: Send + Sync + 'static;
    /// What it yields, kept as its result.
    type Outcome: Serialize + Send + Sync + 'static;

    /// What it may be queued with, every shape once: the releases before and after are asked whether they read it
    /// (`make test-compat`). Only a job that is queued by the clock alone, with `{}`, has none.
    fn samples() -> Vec<Self> {
        Vec::new()
    }

    /// Does the work. It may be done again after it was done: an effect outside Postgres carries
    /// [`Run::id`] as its key.
    fn run(&self, run: &Run<Self::State>) -> impl Future<Output = Result<Self::Outcome, JobError>> + Send;

    /// Its effect in Postgres, in the transaction that records the success. Never committed by an attempt
    /// that another one has replaced.
    fn commit(
        &self,
        _outcome: &Self::Outcome,
        _transaction: &mut Transaction<'_>,
    ) -> impl Future<Output = sqlx::Result<()>> + Send {
        std::future::ready(Ok(()))
    }
}
