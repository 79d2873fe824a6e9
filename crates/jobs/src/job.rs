//! The trait of jobs.

use std::{future::Future, time::Duration};

use database::{Transaction, TransactionError};
use serde::{Serialize, de::DeserializeOwned};

use crate::{JobError, Priority, Run};

/// A kind of work. The value is the payload: small, and readable by the releases before and after.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Names the kind in the database, metrics and logs. Never changes.
    const KIND: &'static str;
    /// The period for which a failing run is retried, from its first failure. A run that fails after this period is dead.
    const RETRY_FOR: Duration = Duration::from_hours(24);
    /// The time limit of one attempt.
    const TIMEOUT: Duration = Duration::from_secs(30);
    /// Which kinds a worker claims first.
    const PRIORITY: Priority = Priority::Normal;
    /// The maximum number of runs of this kind at the same time in one worker process; `jobs.concurrency` limits all
    /// kinds together.
    const CONCURRENCY: usize = usize::MAX;
    /// The time that a cancelled run has to end by itself after [`Run::cancelled`]; then it is aborted.
    const CANCEL_GRACE: Duration = Duration::from_secs(5);
    /// The state of the service, which the job works with.
    type State: Send + Sync + 'static;
    /// The result of the work, which is stored with the run.
    type Outcome: Serialize + Send + Sync + 'static;

    /// Every shape of the payload once: `make test-compat` checks that the releases before and after can read them. Only
    /// a job that is enqueued by a schedule alone, with `{}`, has none.
    fn samples() -> Vec<Self> {
        Vec::new()
    }

    /// Does the work. It may run again after it was done: an effect outside Postgres carries [`Run::id`] as its
    /// idempotency key. Work that computes for more than a few milliseconds belongs in
    /// [`spawn_blocking`](tokio::task::spawn_blocking), since an attempt that does not yield cannot be aborted.
    fn run(&self, run: &Run<Self::State>) -> impl Future<Output = Result<Self::Outcome, JobError>> + Send;

    /// Has the effect in Postgres, in the transaction that records the success. The transaction is rolled back if
    /// another attempt has replaced this one. Errors of statements are propagated with `?`; a
    /// `TransactionError::Refused` ends the attempt with that [`JobError`].
    fn commit(
        &self,
        _outcome: &Self::Outcome,
        _transaction: &mut Transaction<'_>,
    ) -> impl Future<Output = Result<(), TransactionError<JobError>>> + Send {
        std::future::ready(Ok(()))
    }
}
