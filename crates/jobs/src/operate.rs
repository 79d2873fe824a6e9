//! The commands of operators: listing, retrying, discarding and cancelling runs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use database::{Database, DatabaseError, Transaction, TransactionError, UnitOfWork};
use resilience::Deadline;
use serde::Serialize;
use uuid::Uuid;

use crate::{Status, claim::CHANNEL};

/// The time limit of a statement of an operator's command.
const LIMIT: Duration = Duration::from_secs(5);
/// The runs that one statement changes: a transaction stays short, however many runs there are.
const BATCH: i64 = 1_000;

/// A run as an operator sees it.
#[derive(Clone, Debug, Serialize)]
pub struct RunSummary {
    /// The id.
    pub id: Uuid,
    /// The kind of work.
    pub kind: String,
    /// `queued`, `running`, `succeeded`, `failed`, `dead` or `cancelled`.
    pub status: String,
    /// The attempts started so far.
    pub attempt: i32,
    /// The attempts that failed.
    pub failures: i32,
    /// The attempts that were postponed.
    pub postponements: i32,
    /// The attempts during which the process ended.
    pub crashes: i32,
    /// The error of the last attempt without success.
    pub last_error: Option<String>,
    /// The request that enqueued the run.
    pub request_id: Option<String>,
    /// The time at which the run was enqueued.
    pub created_at: DateTime<Utc>,
    /// The time from which the run may start.
    pub due_at: DateTime<Utc>,
    /// The time at which the run ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A selection of runs. All conditions must hold; an empty filter selects every run.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The run with this id.
    pub id: Option<Uuid>,
    /// Runs of this kind.
    pub kind: Option<String>,
    /// Runs with one of these statuses; any status if empty.
    pub statuses: Vec<Status>,
    /// Runs enqueued since this time.
    pub since: Option<DateTime<Utc>>,
}

impl Filter {
    fn status_names(&self) -> Vec<String> {
        self.statuses
            .iter()
            .map(|status| status.name().to_owned())
            .collect()
    }

    /// The run with this id.
    pub fn one(id: Uuid) -> Self {
        Self {
            id: Some(id),
            ..Self::default()
        }
    }
}

struct List {
    filter: Filter,
    limit: i64,
}

impl UnitOfWork for List {
    const NAME: &'static str = "list_runs";
    type Output = Vec<RunSummary>;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Vec<RunSummary>, TransactionError<DatabaseError>> {
        let rows = sqlx::query_as!(
            RunSummary,
            "/* list_runs */
            SELECT id, kind, status, attempt, failures, postponements, crashes, last_error, request_id, created_at, due_at, finished_at
            FROM job_runs
            WHERE ($1::uuid IS NULL OR id = $1) AND ($2::text IS NULL OR kind = $2)
              AND (cardinality($3::text[]) = 0 OR status = ANY($3)) AND ($4::timestamptz IS NULL OR created_at >= $4)
            ORDER BY id DESC
            LIMIT $5",
            self.filter.id,
            self.filter.kind,
            &self.filter.status_names(),
            self.filter.since,
            self.limit
        );
        Ok(rows.fetch_all(&mut **transaction).await?)
    }
}

/// Returns the newest runs that match the filter, at most `limit`.
///
/// # Errors
/// When the database does not respond.
pub async fn list(database: &Database, filter: Filter, limit: i64) -> Result<Vec<RunSummary>, DatabaseError> {
    let list = List { filter, limit };
    database
        .run_idempotent(&list, Deadline::after(LIMIT), || ())
        .await
}

struct Retry(Filter);

impl UnitOfWork for Retry {
    const NAME: &'static str = "retry_jobs";
    type Output = u64;
    type Refusal = DatabaseError;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<u64, TransactionError<DatabaseError>> {
        let retried = sqlx::query!(
            "/* retry_jobs */
            WITH chosen AS MATERIALIZED (
              SELECT DISTINCT ON (kind, COALESCE(unique_key, id::text)) id FROM job_runs AS run
              WHERE ($1::uuid IS NULL OR id = $1) AND ($2::text IS NULL OR kind = $2)
                AND (cardinality($3::text[]) = 0 OR status = ANY($3)) AND status IN ('dead', 'failed', 'cancelled')
                AND ($4::timestamptz IS NULL OR created_at >= $4)
                AND (unique_key IS NULL OR NOT EXISTS
                     (SELECT FROM job_runs AS other WHERE other.kind = run.kind AND other.unique_key = run.unique_key
                        AND other.unique_key IS NOT NULL AND other.status IN ('queued', 'running')))
              LIMIT $5
            )
            UPDATE job_runs
            SET status = 'queued', due_at = now(), failures = 0, postponements = 0, crashes = 0, failing_since = NULL,
                postponed_since = NULL, cancel_requested_at = NULL, worker = NULL, result = NULL, problem = NULL,
                finished_at = NULL
            FROM chosen WHERE job_runs.id = chosen.id AND status IN ('dead', 'failed', 'cancelled')",
            self.0.id,
            self.0.kind,
            &self.0.status_names(),
            self.0.since,
            BATCH
        );
        let retried = retried.execute(&mut **transaction).await?.rows_affected();
        transaction.notify(CHANNEL);
        Ok(retried)
    }
}

/// Requeues the matching runs that are dead, failed or cancelled, as if they were new, and returns their number. Skips a
/// run whose unique key an unfinished run has; of several runs with one key, requeues one. `progress` is called after each
/// full batch with the number so far.
///
/// # Errors
/// When the database does not respond. The runs counted so far are queued.
pub async fn retry(
    database: &Database,
    filter: Filter,
    progress: impl Fn(u64),
) -> Result<u64, DatabaseError> {
    in_batches(database, &Retry(filter), progress).await
}

struct Discard(Filter);

impl UnitOfWork for Discard {
    const NAME: &'static str = "discard_jobs";
    type Output = u64;
    type Refusal = DatabaseError;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<u64, TransactionError<DatabaseError>> {
        let deleted = sqlx::query!(
            "/* discard_jobs */
            DELETE FROM job_runs
            WHERE id IN (SELECT id FROM job_runs
                         WHERE ($1::uuid IS NULL OR id = $1) AND ($2::text IS NULL OR kind = $2)
                           AND (cardinality($3::text[]) = 0 OR status = ANY($3)) AND status <> 'running'
                           AND ($4::timestamptz IS NULL OR created_at >= $4)
                         LIMIT $5 FOR UPDATE SKIP LOCKED)",
            self.0.id,
            self.0.kind,
            &self.0.status_names(),
            self.0.since,
            BATCH
        );
        Ok(deleted.execute(&mut **transaction).await?.rows_affected())
    }
}

/// Deletes the matching runs that are not running, and returns their number. `progress` is called after each full batch
/// with the number so far.
///
/// # Errors
/// When the database does not respond. The runs counted so far are deleted.
pub async fn discard(
    database: &Database,
    filter: Filter,
    progress: impl Fn(u64),
) -> Result<u64, DatabaseError> {
    in_batches(database, &Discard(filter), progress).await
}

async fn in_batches<W: UnitOfWork<Output = u64, Refusal = DatabaseError>>(
    database: &Database,
    work: &W,
    progress: impl Fn(u64),
) -> Result<u64, DatabaseError> {
    let mut total = 0;
    loop {
        let changed = database
            .transaction_cancellable(work, Deadline::after(LIMIT))
            .await?;
        total += changed;
        if changed < BATCH.unsigned_abs() {
            return Ok(total);
        }
        progress(total);
    }
}

/// The effect of a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// The run was queued, and is cancelled.
    Now,
    /// The run is running. Its worker asks it to end, and aborts it after `Job::CANCEL_GRACE`.
    Requested,
}

struct Cancel(Uuid);

impl UnitOfWork for Cancel {
    const NAME: &'static str = "cancel_job";
    type Output = Option<Cancelled>;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Option<Cancelled>, TransactionError<DatabaseError>> {
        let status = sqlx::query_scalar!(
            "/* cancel_job */
            UPDATE job_runs
            SET status = CASE WHEN status = 'queued' THEN 'cancelled' ELSE status END,
                finished_at = CASE WHEN status = 'queued' THEN now() END,
                cancel_requested_at = COALESCE(cancel_requested_at, now())
            WHERE id = $1 AND status IN ('queued', 'running')
            RETURNING status",
            self.0
        );
        let status = status.fetch_optional(&mut **transaction).await?;
        Ok(status.map(|status| {
            if status == "cancelled" {
                Cancelled::Now
            } else {
                Cancelled::Requested
            }
        }))
    }
}

/// Cancels a queued run, or asks a running one to end; `None` if there is no such run.
///
/// # Errors
/// When the database does not respond.
pub async fn cancel(database: &Database, id: Uuid) -> Result<Option<Cancelled>, DatabaseError> {
    database
        .transaction_cancellable(&Cancel(id), Deadline::after(LIMIT))
        .await
}
