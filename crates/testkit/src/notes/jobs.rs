//! Jobs that exist only in tests.

use std::{sync::atomic::Ordering, time::Duration};

use database::{Database, DatabaseError, Transaction, TransactionError, UnitOfWork};
use jobs::{EnqueueOptions, Enqueued, Job, JobError, JobKind, Priority, Run, enqueue_with};
use outcome::common;
use runtime::RequestContext;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::State;

pub(super) static ALL: &[JobKind<State>] = &[
    JobKind::of::<FailingJob>(),
    JobKind::of::<Noop>(),
    JobKind::of::<Effect>(),
    JobKind::of::<Patient>(),
    JobKind::of::<Dependent>(),
    JobKind::of::<Urgent>(),
    JobKind::of::<Single>(),
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
    const RETRY_FOR: Duration = Duration::from_secs(1);
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

    async fn commit(&self, (): &(), _: &mut Transaction<'_>) -> Result<(), TransactionError<JobError>> {
        match self {
            Self::PanicInCommit => panic!("provoked-commit-panic"),
            _ => Ok(()),
        }
    }
}

/// A job that waits for longer than any test takes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Patient {
    /// The job reports progress and ends when it is cancelled.
    Cooperative,
    /// The job ignores a cancellation.
    IgnoresCancellation,
    /// The job computes for a minute without yielding.
    Busy,
}

impl Job for Patient {
    const KIND: &'static str = "test_patient";
    const TIMEOUT: Duration = Duration::from_mins(5);
    const CANCEL_GRACE: Duration = Duration::from_millis(200);
    type State = State;
    type Outcome = ();

    async fn run(&self, run: &Run<State>) -> Result<(), JobError> {
        match self {
            Self::Cooperative => {
                // Postgres cannot store U+0000.
                run.progress(0.4, "2 of 5\0 steps");
                run.cancelled().await;
                Err(JobError::retry("stopped early"))
            }
            Self::IgnoresCancellation => std::future::pending().await,
            Self::Busy => {
                std::thread::sleep(Duration::from_mins(1));
                Ok(())
            }
        }
    }
}

/// A job whose dependency is unavailable while there is a note with the text `unavailable`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Dependent {}

impl Job for Dependent {
    const KIND: &'static str = "test_dependent";
    type State = State;
    type Outcome = ();

    async fn run(&self, run: &Run<State>) -> Result<(), JobError> {
        let unavailable = run.database.read(&IsUnavailable, &run.context).await;
        if unavailable.map_err(JobError::database)? {
            return Err(JobError::unavailable(
                Duration::from_secs(1),
                "provoked-unavailability",
            ));
        }
        Ok(())
    }
}

struct IsUnavailable;

impl UnitOfWork for IsUnavailable {
    const NAME: &'static str = "is_unavailable";
    type Output = bool;
    type Refusal = DatabaseError;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<bool, TransactionError<DatabaseError>> {
        let exists = "/* is_unavailable */ SELECT EXISTS (SELECT FROM test_notes WHERE text = 'unavailable')";
        Ok(sqlx::query_scalar(exists).fetch_one(&mut **transaction).await?)
    }
}

/// A job with the highest priority that does nothing.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Urgent {}

impl Job for Urgent {
    const KIND: &'static str = "test_urgent";
    const PRIORITY: Priority = Priority::High;
    type State = State;
    type Outcome = ();

    async fn run(&self, _: &Run<State>) -> Result<(), JobError> {
        Ok(())
    }
}

/// A job that fails if another one of its kind runs in the same worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Single {}

impl Job for Single {
    const KIND: &'static str = "test_single";
    const CONCURRENCY: usize = 1;
    type State = State;
    type Outcome = ();

    async fn run(&self, run: &Run<State>) -> Result<(), JobError> {
        let others = run.state.singles.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(20)).await;
        run.state.singles.fetch_sub(1, Ordering::SeqCst);
        if others > 0 {
            return Err(JobError::fail(
                &common::INTERNAL,
                "another run of this kind is active",
            ));
        }
        Ok(())
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

/// Enqueues a job that does nothing, with these options.
///
/// # Panics
/// When Postgres does not respond.
pub async fn enqueue_noop(database: &Database, options: EnqueueOptions) -> Enqueued {
    let span = tracing::Span::none();
    let context = RequestContext::new("test".to_owned(), String::new(), span, Duration::from_secs(10));
    let enqueue = EnqueueNoop {
        options,
        context: context.clone(),
    };
    let enqueued = database.transaction(enqueue, &context).await;
    enqueued.expect("Postgres responds")
}

struct EnqueueNoop {
    options: EnqueueOptions,
    context: RequestContext,
}

impl UnitOfWork for EnqueueNoop {
    const NAME: &'static str = "enqueue_noop";
    type Output = Enqueued;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Enqueued, TransactionError<DatabaseError>> {
        let options = self.options.clone();
        Ok(enqueue_with(transaction, "alice", &Noop {}, options, &self.context).await?)
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

    async fn commit(
        &self,
        id: &Uuid,
        transaction: &mut Transaction<'_>,
    ) -> Result<(), TransactionError<JobError>> {
        let insert = sqlx::query("INSERT INTO test_notes (id, text) VALUES (gen_random_uuid(), $1)");
        insert.bind(id.to_string()).execute(&mut **transaction).await?;
        Ok(())
    }
}
