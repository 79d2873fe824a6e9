//! Reading and steering runs: for callers, for operators, for the gauges.

use std::time::Duration;

use chrono::{DateTime, Utc};
use database::{Database, DatabaseError, Transaction, TransactionError, UnitOfWork};
use resilience::Deadline;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// Patience of an operator's command.
const LIMIT: Duration = Duration::from_secs(5);

/// A job as its owner sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobView {
    /// Its id.
    pub id: Uuid,
    /// What kind of work.
    pub kind: String,
    /// `queued`, `running`, `succeeded`, `failed` or `dead`.
    pub status: String,
    /// Starts so far.
    pub attempts: i32,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it ended, one way or the other.
    pub finished_at: Option<DateTime<Utc>>,
    /// What it yielded.
    #[schema(value_type = Option<Object>)]
    pub result: Option<Value>,
    /// The code of the problem that ended it.
    pub problem: Option<String>,
}

/// The unit of work behind [`JobView`].
#[derive(Clone, Debug)]
pub struct FindJob {
    id: Uuid,
    subject: String,
}

/// A job of this subject; nobody else's exists for it.
pub fn find(id: Uuid, subject: &str) -> FindJob {
    FindJob {
        id,
        subject: subject.to_owned(),
    }
}

impl UnitOfWork for FindJob {
    const NAME: &'static str = "find_job";
    type Output = Option<JobView>;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Option<JobView>, TransactionError<DatabaseError>> {
        let view = sqlx::query_as!(
            JobView,
            "/* find_job */
            SELECT id, kind, status, attempt AS attempts, created_at, finished_at, result, problem
            FROM job_runs WHERE id = $1 AND subject = $2",
            self.id,
            self.subject
        );
        Ok(view.fetch_optional(&mut **transaction).await?)
    }
}

/// A job as its operator sees it.
#[derive(Clone, Debug, Serialize)]
pub struct RunSummary {
    /// Its id.
    pub id: Uuid,
    /// What kind of work.
    pub kind: String,
    /// `queued`, `running`, `succeeded`, `failed` or `dead`.
    pub status: String,
    /// Starts so far.
    pub attempt: i32,
    /// Starts allowed.
    pub attempts_allowed: i32,
    /// Of the last attempt that did not work out.
    pub last_error: Option<String>,
    /// The request that asked for it.
    pub request_id: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it may start, or might have.
    pub due_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

struct ListRuns {
    id: Option<Uuid>,
    dead_only: bool,
}

impl UnitOfWork for ListRuns {
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
            SELECT id, kind, status, attempt, attempts_allowed, last_error, request_id, created_at, due_at, finished_at
            FROM job_runs
            WHERE ($1::uuid IS NULL OR id = $1) AND (status = 'dead' OR NOT $2)
            ORDER BY id DESC
            LIMIT 100",
            self.id,
            self.dead_only
        );
        Ok(rows.fetch_all(&mut **transaction).await?)
    }
}

/// The newest hundred runs, or the dead ones among them.
///
/// # Errors
/// When the database gives no answer.
pub async fn list(database: &Database, dead_only: bool) -> Result<Vec<RunSummary>, DatabaseError> {
    let work = ListRuns { id: None, dead_only };
    database
        .run_idempotent(&work, Deadline::after(LIMIT), || ())
        .await
}

/// One run.
///
/// # Errors
/// When the database gives no answer.
pub async fn show(database: &Database, id: Uuid) -> Result<Option<RunSummary>, DatabaseError> {
    let work = ListRuns {
        id: Some(id),
        dead_only: false,
    };
    Ok(database
        .run_idempotent(&work, Deadline::after(LIMIT), || ())
        .await?
        .pop())
}

struct Retry(Uuid);

impl UnitOfWork for Retry {
    const NAME: &'static str = "retry_job";
    type Output = bool;
    type Refusal = DatabaseError;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<bool, TransactionError<DatabaseError>> {
        let statement = sqlx::query(
            "/* retry_job */
            WITH run AS (
              UPDATE job_runs
              SET status = 'queued', delivery = gen_random_uuid(), attempts_allowed = attempt + 3,
                  due_at = now(), finished_at = NULL, problem = NULL
              WHERE id = $1 AND status IN ('dead', 'failed')
              RETURNING id, delivery
            )
            SELECT (graphile_worker.add_job('run', json_build_object('run', run.id, 'delivery', run.delivery))).id FROM run",
        );
        Ok(!statement
            .bind(self.0)
            .fetch_all(&mut **transaction)
            .await?
            .is_empty())
    }
}

/// Lets a dead or failed run start again, up to three times; tells whether there was one.
///
/// # Errors
/// When the database gives no answer.
pub async fn retry(database: &Database, id: Uuid) -> Result<bool, DatabaseError> {
    database
        .transaction_cancellable(&Retry(id), Deadline::after(LIMIT))
        .await
}

struct Discard(Uuid);

impl UnitOfWork for Discard {
    const NAME: &'static str = "discard_job";
    type Output = bool;
    type Refusal = DatabaseError;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<bool, TransactionError<DatabaseError>> {
        let deleted = sqlx::query!(
            "/* discard_job */ DELETE FROM job_runs WHERE id = $1 AND status IN ('dead', 'failed', 'queued')",
            self.0
        );
        Ok(deleted.execute(&mut **transaction).await?.rows_affected() > 0)
    }
}

/// Deletes a run that waits or has failed; tells whether there was one.
///
/// # Errors
/// When the database gives no answer.
pub async fn discard(database: &Database, id: Uuid) -> Result<bool, DatabaseError> {
    database
        .transaction_cancellable(&Discard(id), Deadline::after(LIMIT))
        .await
}

/// What the gauges show.
pub(super) struct Counts {
    pub(super) queued: i64,
    pub(super) dead: i64,
    pub(super) oldest_seconds: f64,
}

struct Count;

impl UnitOfWork for Count {
    const NAME: &'static str = "count_jobs";
    type Output = Counts;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Counts, TransactionError<DatabaseError>> {
        let row = sqlx::query!(
            r#"/* count_jobs */
            SELECT count(*) FILTER (WHERE status = 'queued') AS "queued!",
                   count(*) FILTER (WHERE status = 'dead') AS "dead!",
                   COALESCE(EXTRACT(EPOCH FROM now() - min(due_at) FILTER (WHERE status = 'queued' AND due_at <= now())), 0)::float8
                     AS "oldest_seconds!"
            FROM job_runs WHERE status IN ('queued', 'running', 'dead')"#
        );
        let row = row.fetch_one(&mut **transaction).await?;
        Ok(Counts {
            queued: row.queued,
            dead: row.dead,
            oldest_seconds: row.oldest_seconds,
        })
    }
}

pub(super) async fn counts(database: &Database) -> Result<Counts, DatabaseError> {
    database
        .run_idempotent(&Count, Deadline::after(LIMIT), || ())
        .await
}
