#![doc = include_str!("../README.md")]

mod attempt;
mod attempt_outcome;
mod backoff;
mod claim;
mod claim_loop;
mod endings;
mod enqueue;
mod error;
mod find;
mod heartbeat;
mod in_flight;
mod job;
mod kind;
mod leaseholder;
mod leases;
mod listener;
mod metrics;
mod operate;
mod pause;
mod payloads;
mod priority;
pub mod problems;
mod purge;
mod queue;
mod recording;
mod run;
mod schedule;
mod scheduler;
mod settings;
mod status;
mod suspects;
mod totals;
mod worker;

pub use self::settings::Settings;
pub use enqueue::{EnqueueOptions, Enqueued, enqueue, enqueue_at, enqueue_with};
pub use error::JobError;
pub use find::{JobView, find};
pub use job::Job;
pub use kind::{BoundKind, JobKind};
pub use metrics::JobMetrics;
pub use operate::{Cancelled, Filter, RunSummary, cancel, discard, list, retry};
pub use payloads::{Payloads, payloads, unreadable};
pub use priority::Priority;
pub use purge::{MAINTENANCE_JOBS, Maintenance};
pub use queue::{Queue, QueueRefusal};
pub use run::{Progress, Run};
pub use status::Status;
pub use worker::{Worker, WorkerParts};

use database::MigrationSet;
use sqlx::migrate::Migrator;

static MIGRATOR: Migrator = sqlx::migrate!();

/// The tables of this crate.
pub static MIGRATIONS: MigrationSet = MigrationSet::of_crate(
    "_migrations_jobs",
    &MIGRATOR,
    &[
        "job_runs",
        "job_workers",
        "job_pauses",
        "job_schedules",
        "job_totals",
    ],
);
