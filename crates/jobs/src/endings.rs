//! The ways an attempt is recorded. The worker and the number of the attempt are the fence: an attempt that another one has
//! replaced changes nothing.

use std::{sync::Arc, time::Duration};

use database::{DatabaseError, Transaction, TransactionError, UnitOfWork};
use outcome::ProblemType;
use uuid::Uuid;

use crate::{JobError, claim::Claimed, kind::Done};

/// Why an attempt was not recorded.
#[derive(Debug)]
pub(crate) enum Unrecorded {
    /// Another attempt has replaced this one.
    Fenced,
    /// The effect in Postgres was refused.
    Refused(JobError),
    Database(DatabaseError),
}

impl From<DatabaseError> for Unrecorded {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

fn fenced_unless(rows: u64) -> Result<(), TransactionError<Unrecorded>> {
    if rows == 1 {
        Ok(())
    } else {
        Err(TransactionError::Refused(Unrecorded::Fenced))
    }
}

/// The crashes after which a run is dead.
pub(crate) const MAX_CRASHES: i32 = 5;

/// The identity of an attempt in its row: the fencing token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fence {
    id: Uuid,
    worker: Uuid,
    attempt: i32,
}

impl From<&Claimed> for Fence {
    fn from(claimed: &Claimed) -> Self {
        Self {
            id: claimed.id,
            worker: claimed.worker,
            attempt: claimed.attempt,
        }
    }
}

/// Commits the effect and the success together.
#[derive(Clone)]
pub(crate) struct Succeed {
    pub(crate) fence: Fence,
    pub(crate) done: Arc<Done>,
}

impl UnitOfWork for Succeed {
    const NAME: &'static str = "succeed_job";
    type Output = ();
    type Refusal = Unrecorded;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<Unrecorded>> {
        let effect = (self.done.commit)(transaction).await;
        effect.map_err(|error| error.map_refusal(Unrecorded::Refused))?;
        let updated = sqlx::query!(
            "/* succeed_job */
            UPDATE job_runs SET status = 'succeeded', result = $4, progress = NULL, finished_at = now()
            WHERE id = $1 AND worker = $2 AND attempt = $3 AND status = 'running'",
            self.fence.id,
            self.fence.worker,
            self.fence.attempt,
            self.done.result
        );
        fenced_unless(updated.execute(&mut **transaction).await?.rows_affected())
    }
}

/// Ends a run without success.
#[derive(Clone)]
pub(crate) struct End {
    pub(crate) fence: Fence,
    pub(crate) status: FinalStatus,
    pub(crate) counted_as: CountedAs,
    pub(crate) error: String,
}

/// How a run without success ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FinalStatus {
    Failed(&'static ProblemType),
    Dead,
    Cancelled,
}

impl UnitOfWork for End {
    const NAME: &'static str = "end_job";
    type Output = ();
    type Refusal = Unrecorded;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<Unrecorded>> {
        let (status, problem) = match self.status {
            FinalStatus::Failed(problem) => ("failed", Some(problem.code)),
            FinalStatus::Dead => ("dead", None),
            FinalStatus::Cancelled => ("cancelled", None),
        };
        let updated = sqlx::query!(
            "/* end_job */
            UPDATE job_runs
            SET status = $4, problem = $5, last_error = $6, progress = NULL, finished_at = now(),
                failures = failures + $7, crashes = crashes + $8
            WHERE id = $1 AND worker = $2 AND attempt = $3 AND status = 'running'",
            self.fence.id,
            self.fence.worker,
            self.fence.attempt,
            status,
            problem,
            self.error,
            self.counted_as.one_if(CountedAs::Failure),
            self.counted_as.one_if(CountedAs::Crash)
        );
        fenced_unless(updated.execute(&mut **transaction).await?.rows_affected())
    }
}

/// The count of a run that its attempt adds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountedAs {
    Failure,
    Postponement,
    Crash,
    Nothing,
}

impl CountedAs {
    fn one_if(self, count: Self) -> i32 {
        i32::from(self == count)
    }
}

/// Returns the run to the queue; cancels it if an operator has asked for that.
#[derive(Clone)]
pub(crate) struct Requeue {
    pub(crate) fence: Fence,
    pub(crate) wait: Duration,
    pub(crate) counted_as: CountedAs,
    pub(crate) error: Option<String>,
}

impl UnitOfWork for Requeue {
    const NAME: &'static str = "requeue_job";
    type Output = ();
    type Refusal = Unrecorded;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<Unrecorded>> {
        let updated = sqlx::query!(
            "/* requeue_job */
            UPDATE job_runs
            SET status = CASE WHEN cancel_requested_at IS NULL THEN 'queued' ELSE 'cancelled' END,
                finished_at = CASE WHEN cancel_requested_at IS NOT NULL THEN now() END,
                due_at = now() + make_interval(secs => $4),
                failures = failures + $5,
                failing_since = CASE WHEN $5 > 0 THEN COALESCE(failing_since, now()) ELSE failing_since END,
                postponements = postponements + $6,
                postponed_since = CASE WHEN $6 > 0 THEN COALESCE(postponed_since, now()) END,
                crashes = crashes + $7,
                last_error = COALESCE($8, last_error),
                worker = NULL, progress = NULL
            WHERE id = $1 AND worker = $2 AND attempt = $3 AND status = 'running'",
            self.fence.id,
            self.fence.worker,
            self.fence.attempt,
            self.wait.as_secs_f64(),
            self.counted_as.one_if(CountedAs::Failure),
            self.counted_as.one_if(CountedAs::Postponement),
            self.counted_as.one_if(CountedAs::Crash),
            self.error
        );
        fenced_unless(updated.execute(&mut **transaction).await?.rows_affected())
    }
}
