//! The maintenance of the platform's own tables: a scheduled job that deletes what is past its retention.

use database::{
    DatabaseError, Transaction, TransactionError, UnitOfWork,
    idempotency::{PURGE_BATCH, PURGE_INTERVAL, PurgeKeys},
};
use serde::{Deserialize, Serialize};

use crate::{Job, JobError, JobKind, JobMetrics, Priority, Run, Settings};

/// The state of the maintenance jobs.
#[derive(Clone, Debug)]
pub struct Maintenance {
    /// The section `jobs`.
    pub settings: Settings,
    /// The metrics that count deleted rows.
    pub metrics: JobMetrics,
}

/// The jobs of this crate itself, which every worker runs.
pub const MAINTENANCE_JOBS: &[JobKind<Maintenance>] = &[JobKind::of::<Purge>().every(PURGE_INTERVAL)];

/// Deletes idempotency keys and finished runs after their retention.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Purge {}

/// The numbers of deleted rows.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Purged {
    idempotency_keys: u64,
    job_runs: u64,
}

impl Job for Purge {
    const KIND: &'static str = "purge";
    const PRIORITY: Priority = Priority::High;
    type State = Maintenance;
    type Outcome = Purged;

    async fn run(&self, run: &Run<Maintenance>) -> Result<Purged, JobError> {
        let mut purged = Purged::default();
        let retention_seconds = run.state.settings.retention.as_secs_f64();
        // Until nothing is left, each batch in a transaction of its own.
        loop {
            let keys = run.database.transaction(PurgeKeys, &run.context).await;
            let keys = keys.map_err(JobError::database)?;
            let runs = PurgeRuns { retention_seconds };
            let runs = run.database.transaction(runs, &run.context).await;
            let runs = runs.map_err(JobError::database)?;
            run.state.metrics.purged("idempotency_keys", keys);
            run.state.metrics.purged("job_runs", runs);
            purged.idempotency_keys += keys;
            purged.job_runs += runs;
            // The next run continues if there is more than one attempt can delete.
            let is_late = run.context.deadline().remaining() < Self::TIMEOUT / 3;
            if is_late || keys.max(runs) < PURGE_BATCH.unsigned_abs() {
                return Ok(purged);
            }
        }
    }
}

struct PurgeRuns {
    retention_seconds: f64,
}

impl UnitOfWork for PurgeRuns {
    const NAME: &'static str = "purge_runs";
    type Output = u64;
    type Refusal = DatabaseError;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<u64, TransactionError<DatabaseError>> {
        // Dead runs stay until an operator has looked at them.
        let deleted = sqlx::query!(
            "/* purge_runs */
            DELETE FROM job_runs WHERE id IN
              (SELECT id FROM job_runs
               WHERE status IN ('succeeded', 'failed', 'cancelled') AND finished_at < now() - make_interval(secs => $1)
               ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
            self.retention_seconds,
            PURGE_BATCH
        );
        Ok(deleted.execute(&mut **transaction).await?.rows_affected())
    }
}
