//! Jobs that exist only in tests: each goes wrong in its own way.

use std::time::Duration;

use database::Transaction;
use jobs::{Job, JobError, JobKind, Run};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::State;

pub(super) static ALL: &[JobKind<State>] = &[
    JobKind::of::<Poison>(),
    JobKind::of::<Noop>(),
    JobKind::of::<Effect>(),
];

/// How a job goes wrong.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Poison {
    /// It returns an error.
    Error,
    /// It panics.
    Panic,
    /// It ends its process.
    Abort,
    /// It panics while its effect is committed.
    PanicInCommit,
    /// It waits for ever.
    Endless,
    /// It computes for ever, and never yields.
    Spin,
    /// It does not.
    Works,
}

impl Job for Poison {
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

    async fn commit(&self, _: &(), _: &mut Transaction<'_>) -> sqlx::Result<()> {
        match self {
            Self::PanicInCommit => panic!("provoked-commit-panic"),
            _ => Ok(()),
        }
    }
}

/// Does nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct Noop {}

impl Job for Noop {
    const KIND: &'static str = "test_noop";
    type State = State;
    type Outcome = ();

    async fn run(&self, _: &Run<State>) -> Result<(), JobError> {
        Ok(())
    }
}

/// Takes `millis` and has an effect in Postgres: a note.
#[derive(Debug, Serialize, Deserialize)]
pub struct Effect {
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
