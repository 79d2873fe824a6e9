//! Jobs as their owners see them.

use chrono::{DateTime, Utc};
use database::{DatabaseError, Transaction, TransactionError, UnitOfWork};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::Progress;

/// A job as its owner sees it.
#[derive(Clone, Debug)]
pub struct JobView {
    /// The id.
    pub id: Uuid,
    /// The kind of work.
    pub kind: String,
    /// `queued`, `running`, `succeeded`, `failed`, `dead` or `cancelled`.
    pub status: String,
    /// The attempts started so far.
    pub attempts: i32,
    /// The time at which the job was enqueued.
    pub created_at: DateTime<Utc>,
    /// The earliest time of the next attempt, while a dependency is unavailable.
    pub postponed_until: Option<DateTime<Utc>>,
    /// The progress that a running job has reported.
    pub progress: Option<Json<Progress>>,
    /// The time at which the job ended, in success or failure.
    pub finished_at: Option<DateTime<Utc>>,
    /// The result of a job that has succeeded.
    pub result: Option<Value>,
    /// The code of the problem that ended the job.
    pub problem: Option<String>,
}

/// The unit of work that finds a [`JobView`].
#[derive(Clone, Debug)]
pub struct FindJob {
    id: Uuid,
    subject: String,
}

/// Finds a job of this subject; those of other subjects do not exist for it.
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
            r#"/* find_job */
            SELECT id, job_runs.kind, status, attempt AS attempts, created_at, finished_at, result, problem,
                   progress AS "progress: Json<Progress>",
                   CASE WHEN status <> 'queued' THEN NULL
                        WHEN job_pauses.kind IS NOT NULL THEN greatest(due_at, job_pauses.until)
                        WHEN postponed_since IS NOT NULL THEN due_at END AS postponed_until
            FROM job_runs LEFT JOIN job_pauses ON job_pauses.kind = job_runs.kind
            WHERE id = $1 AND subject = $2"#,
            self.id,
            self.subject
        );
        Ok(view.fetch_optional(&mut **transaction).await?)
    }
}
