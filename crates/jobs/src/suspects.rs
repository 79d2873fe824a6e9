//! Suspects: runs during which a process has ended more than once. They are claimed one at a time and run alone, so that
//! a run that kills its process takes no other one down with it, and one that was only near it is cleared.

use database::{DatabaseError, Transaction, TransactionError, UnitOfWork};
use uuid::Uuid;

use crate::claim::Claimed;

/// Claims the suspect that has been due for the longest time.
pub(crate) struct ClaimSuspect {
    pub(crate) worker: Uuid,
    pub(crate) kinds: Vec<String>,
}

impl UnitOfWork for ClaimSuspect {
    const NAME: &'static str = "claim_suspect";
    type Output = Option<Claimed>;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Option<Claimed>, TransactionError<DatabaseError>> {
        let claimed = sqlx::query_as!(
            Claimed,
            r#"/* claim_suspect */
            WITH due AS MATERIALIZED (
              SELECT id FROM job_runs
              WHERE kind = ANY($2) AND status = 'queued' AND crashes >= 2 AND due_at <= now()
              ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
            )
            UPDATE job_runs
            SET status = 'running', attempt = attempt + 1, worker = $1, started_at = now(), progress = NULL
            FROM due WHERE job_runs.id = due.id
            RETURNING job_runs.id, kind, payload, attempt, failures, postponements, crashes, subject, request_id, traceparent,
              COALESCE(EXTRACT(EPOCH FROM now() - failing_since), 0)::float8 AS "failing_seconds!", worker AS "worker!", false AS "is_probe!""#,
            self.worker,
            &self.kinds
        );
        Ok(claimed.fetch_optional(&mut **transaction).await?)
    }
}
