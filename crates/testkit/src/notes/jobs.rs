//! Jobs that exist only in tests: one that fails in a chosen way, one that does nothing, one that writes a note.

use std::time::Duration;

use database::Transaction;
use jobs::{Job, JobError, JobKind, Run};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::State;

pub(super) static ALL: &[JobKind<State>] = &[
    JobKind::of::<FailingJob>(),
    JobKind::of::<Noop>(),
    JobKind::of::<Effect>(),
];

/// A job that fails in a chosen way.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailingJob {
    /// The job returns an error.
    Error,
    /// The job panics.
    Panic,
    /// The job aborts the process.
    Abort,
    /// The job panics while its result is committed.
    PanicInCommit,
    /// The job waits forever.
    Endless,
    /// The job computes forever and never yields.
    Spin,
    /// The job succeeds.
    Works,
}

impl Job for FailingJob {
    const KIND: &'static str = "test_poison";
    const ATTEMPTS: i32 = 2;
    const TIMEOUT: Duration = Duration::from_millis(500);
    type State = State;
    type Outcome = ();

    async fn run(&self, _: &Run<State>) -> Result<(), JobError> {
        match self {
            Self::Error => Err(JobError::retry("provoked-job-error")),
            Self::Panic => panic!("provoked-job-panic"),
            Self::Abort => std::process::abort(),
            Self::Endless => std::future::pending().await,
            Self::Spin => loop {
                std::hint::spin_loop();
            },
            Self::PanicInCommit | Self::Works => Ok(()),
        }
    }

    async fn commit(&self, (): &(), _: &mut Transaction<'_>) -> sqlx::Result<()> {
        match self {
            Self::PanicInCommit => panic!("provoked-commit-panic"),
            _ => Ok(()),
        }
    }
}

/// A job that does nothing.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Noop {}

impl Job for Noop {
    const KIND: &'static str = "test_noop";
    type State = State;
    type Outcome = ();

    async fn run(&self, _: &Run<State>) -> Result<(), JobError> {
        Ok(())
    }
}

/// A job that takes `millis` milliseconds and then writes a note.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Effect {
    millis: u64,
}

impl Job for Effect {
    const KIND: &'static str = "test_effect";
    type State = State;
    type Outcome = Uuid;

    async fn run(&self, run: &Run<State>) -> Result<Uuid, JobError> {
        tokio::time::sleep(Duration::from_millis(self.millis)).await;
        Ok(run.id)
    }

    async fn commit(&self, id: &Uuid, transaction: &mut Transaction<'_>) -> sqlx::Result<()> {
        let insert = sqlx::query("INSERT INTO test_notes (id, text) VALUES (gen_random_uuid(), $1)");
        insert.bind(id.to_string()).execute(&mut **transaction).await?;
        Ok(())
    }
}
