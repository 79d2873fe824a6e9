//! The row of a run: its start, and every way in which it can end. `WHERE attempt =` is the fence.

use std::time::Duration;

use database::{DatabaseError, Transaction, TransactionError, UnitOfWork};
use outcome::ProblemType;
use serde_json::Value;
use uuid::Uuid;

use super::kind::Done;

/// An attempt that began.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) id: Uuid,
    pub(super) kind: String,
    pub(super) payload: Value,
    pub(super) attempt: i32,
    pub(super) attempts_allowed: i32,
    pub(super) subject: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) traceparent: Option<String>,
}

/// Counts a start, unless the run has ended, has been delivered anew, or is out of attempts.
pub(super) struct Start {
    pub(super) id: Uuid,
    pub(super) delivery: Uuid,
}

/// What a delivery has found.
#[derive(Debug)]
pub(super) enum Found {
    /// A run that starts.
    Started(Started),
    /// A run out of attempts whose last one never reported a result; it is dead from now on.
    Dead { kind: String, attempt: i32 },
    /// Nothing to do: it has ended, or was delivered anew.
    Nothing,
}

impl UnitOfWork for Start {
    const NAME: &'static str = "start_job";
    type Output = Found;
    type Refusal = DatabaseError;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Found, TransactionError<DatabaseError>> {
        let started = sqlx::query_as!(
            Started,
            "/* start_job */
            UPDATE job_runs SET attempt = attempt + 1, status = 'running'
            WHERE id = $1 AND delivery = $2 AND status IN ('queued', 'running') AND attempt < attempts_allowed
            RETURNING id, kind, payload, attempt, attempts_allowed, subject, request_id, traceparent",
            self.id,
            self.delivery
        );
        if let Some(started) = started.fetch_optional(&mut **transaction).await? {
            return Ok(Found::Started(started));
        }
        // Its process died, or the database did not take the end.
        let buried = sqlx::query!(
            "/* bury_job */
            UPDATE job_runs
            SET status = 'dead', finished_at = now(),
                last_error = COALESCE(last_error || '; ', '') || 'the last attempt never reported a result'
            WHERE id = $1 AND delivery = $2 AND status IN ('queued', 'running') AND attempt >= attempts_allowed
            RETURNING kind, attempt",
            self.id,
            self.delivery
        );
        let buried = buried.fetch_optional(&mut **transaction).await?;
        Ok(buried.map_or(Found::Nothing, |row| Found::Dead {
            kind: row.kind,
            attempt: row.attempt,
        }))
    }
}

/// Another attempt has replaced this one, or the database gave no result.
#[derive(Debug)]
pub(super) enum Unfinished {
    Fenced,
    DatabaseError(DatabaseError),
}

impl From<DatabaseError> for Unfinished {
    fn from(fault: DatabaseError) -> Self {
        Self::DatabaseError(fault)
    }
}

fn fenced_unless(rows: u64) -> Result<(), TransactionError<Unfinished>> {
    if rows == 1 {
        Ok(())
    } else {
        Err(TransactionError::Refused(Unfinished::Fenced))
    }
}

/// Commits the effect and the success together.
pub(super) struct Succeed {
    pub(super) id: Uuid,
    pub(super) attempt: i32,
    pub(super) done: Done,
}

impl UnitOfWork for Succeed {
    const NAME: &'static str = "succeed_job";
    type Output = ();
    type Refusal = Unfinished;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<Unfinished>> {
        (self.done.commit)(transaction).await?;
        let updated = sqlx::query!(
            "/* succeed_job */
            UPDATE job_runs SET status = 'succeeded', result = $3, finished_at = now()
            WHERE id = $1 AND attempt = $2 AND status = 'running'",
            self.id,
            self.attempt,
            self.done.result
        );
        fenced_unless(updated.execute(&mut **transaction).await?.rows_affected())
    }
}

/// Ends the run without success.
pub(super) struct End {
    pub(super) id: Uuid,
    pub(super) attempt: i32,
    /// `dead` without a problem, `failed` with one.
    pub(super) problem: Option<&'static ProblemType>,
    pub(super) error: String,
}

impl UnitOfWork for End {
    const NAME: &'static str = "end_job";
    type Output = ();
    type Refusal = Unfinished;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<Unfinished>> {
        let status = if self.problem.is_some() { "failed" } else { "dead" };
        let updated = sqlx::query!(
            "/* end_job */
            UPDATE job_runs SET status = $3, problem = $4, last_error = $5, finished_at = now()
            WHERE id = $1 AND attempt = $2 AND status = 'running'",
            self.id,
            self.attempt,
            status,
            self.problem.map(|problem| problem.code),
            self.error
        );
        fenced_unless(updated.execute(&mut **transaction).await?.rows_affected())
    }
}

/// Puts the run back into the queue, with a delivery of its own.
pub(super) struct PutBack {
    pub(super) id: Uuid,
    pub(super) attempt: i32,
    pub(super) delay: Duration,
    /// None where the job was not to blame: that costs it no attempt.
    pub(super) error: Option<String>,
}

impl UnitOfWork for PutBack {
    const NAME: &'static str = "put_back_job";
    type Output = ();
    type Refusal = Unfinished;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<Unfinished>> {
        let statement = sqlx::query(
            "/* put_back_job */
            WITH run AS (
              UPDATE job_runs
              SET status = 'queued', delivery = gen_random_uuid(), due_at = now() + make_interval(secs => $3),
                  last_error = COALESCE($4, last_error),
                  attempts_allowed = attempts_allowed + CASE WHEN $4 IS NULL THEN 1 ELSE 0 END
              WHERE id = $1 AND attempt = $2 AND status = 'running'
              RETURNING id, delivery, due_at
            )
            SELECT (graphile_worker.add_job('run', json_build_object('run', run.id, 'delivery', run.delivery),
                                            run_at => run.due_at)).id
            FROM run",
        );
        let rows = statement
            .bind(self.id)
            .bind(self.attempt)
            .bind(self.delay.as_secs_f64())
            .bind(self.error.as_deref())
            .fetch_all(&mut **transaction)
            .await?;
        fenced_unless(rows.len() as u64)
    }
}
