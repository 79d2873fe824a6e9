//! The statements of leases: heartbeats, reports, and the recovery of runs whose worker has lost its lease.

use database::{DatabaseError, Transaction, TransactionError, UnitOfWork};
use serde_json::Value;
use uuid::Uuid;

use crate::{Progress, endings::MAX_CRASHES};

/// Shows that the worker is alive. A statement of its own, so that no other work can make it fail.
pub(crate) struct Beat(pub(crate) Uuid);

impl UnitOfWork for Beat {
    const NAME: &'static str = "heartbeat";
    /// Whether the worker still holds its leases.
    type Output = bool;
    type Refusal = DatabaseError;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<bool, TransactionError<DatabaseError>> {
        let beat = sqlx::query!(
            "/* heartbeat */ UPDATE job_workers SET seen_at = now() WHERE id = $1",
            self.0
        );
        Ok(beat.execute(&mut **transaction).await?.rows_affected() == 1)
    }
}

/// The runs in flight, and what their jobs have reported.
pub(crate) struct Report {
    pub(crate) worker: Uuid,
    /// The length of a lease, in seconds.
    pub(crate) lease: f64,
    /// The runs in flight.
    pub(crate) running: Vec<Uuid>,
    /// The progress that their jobs have reported.
    pub(crate) progress: Vec<(Uuid, i32, Progress)>,
    /// The kinds that the worker knows.
    pub(crate) kinds: Vec<String>,
}

/// The response to a report.
#[derive(Debug)]
pub(crate) struct ReportResponse {
    /// The runs whose end an operator has asked for.
    pub(crate) cancelled: Vec<Uuid>,
    /// Whether a suspect is due.
    pub(crate) has_suspect: bool,
}

impl UnitOfWork for Report {
    const NAME: &'static str = "report_runs";
    type Output = ReportResponse;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<ReportResponse, TransactionError<DatabaseError>> {
        let (mut ids, mut attempts, mut progress) = (Vec::new(), Vec::new(), Vec::<Value>::new());
        for (id, attempt, reported) in &self.progress {
            ids.push(*id);
            attempts.push(*attempt);
            progress.push(serde_json::json!(reported));
        }
        // A run of this worker that it does not know was claimed by a statement whose response was lost, or its end could
        // not be recorded. Rows that are locked are left to the next report.
        let response = sqlx::query_as!(
            ReportResponse,
            r#"/* report_runs */
            WITH unknown AS MATERIALIZED (
              SELECT id FROM job_runs
              WHERE worker = $1 AND status = 'running' AND id <> ALL($2)
                AND started_at < now() - make_interval(secs => $3)
              FOR UPDATE SKIP LOCKED
            ), returned AS (
              UPDATE job_runs
              SET status = CASE WHEN cancel_requested_at IS NULL THEN 'queued' ELSE 'cancelled' END,
                  finished_at = CASE WHEN cancel_requested_at IS NOT NULL THEN now() END, worker = NULL, progress = NULL
              FROM unknown WHERE job_runs.id = unknown.id
            ), own AS MATERIALIZED (
              SELECT job_runs.id, report.progress
              FROM job_runs JOIN unnest($4::uuid[], $5::integer[], $6::jsonb[]) AS report (id, attempt, progress)
                ON job_runs.id = report.id AND job_runs.attempt = report.attempt
              WHERE worker = $1 AND status = 'running'
              FOR UPDATE OF job_runs SKIP LOCKED
            ), reported AS (
              UPDATE job_runs SET progress = own.progress FROM own WHERE job_runs.id = own.id
            )
            SELECT ARRAY(SELECT id FROM job_runs
                         WHERE worker = $1 AND status = 'running' AND cancel_requested_at IS NOT NULL) AS "cancelled!",
                   EXISTS (SELECT FROM job_runs
                           WHERE kind = ANY($7) AND status = 'queued' AND crashes >= 2 AND due_at <= now()
                             AND kind NOT IN (SELECT kind FROM job_pauses WHERE until > now())) AS "has_suspect!""#,
            self.worker,
            &self.running,
            self.lease,
            &ids,
            &attempts,
            &progress,
            &self.kinds
        );
        Ok(response.fetch_one(&mut **transaction).await?)
    }
}

/// Returns the runs of workers that have not been seen for a lease to the queue, and ends pauses that no run waits for.
pub(crate) struct Sweep {
    /// The length of a lease, in seconds.
    pub(crate) lease: f64,
}

/// A run whose worker is gone.
#[derive(Debug)]
pub(crate) struct Crashed {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) is_dead: bool,
    pub(crate) crashes: i32,
}

impl UnitOfWork for Sweep {
    const NAME: &'static str = "sweep_jobs";
    type Output = Vec<Crashed>;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Vec<Crashed>, TransactionError<DatabaseError>> {
        let crashed = sqlx::query_as!(
            Crashed,
            r#"/* sweep_jobs */
            WITH gone AS (
              DELETE FROM job_workers WHERE seen_at < now() - make_interval(secs => $1) RETURNING id
            ), unneeded AS (
              DELETE FROM job_pauses
              WHERE NOT EXISTS (SELECT FROM job_runs WHERE job_runs.kind = job_pauses.kind AND status = 'queued' AND crashes < 2)
                AND NOT EXISTS (SELECT FROM job_runs WHERE job_runs.kind = job_pauses.kind AND status = 'queued' AND crashes >= 2)
                AND NOT EXISTS (SELECT FROM job_runs WHERE job_runs.kind = job_pauses.kind AND status = 'running')
            ), orphans AS (
              SELECT id FROM job_runs
              WHERE status = 'running' AND (worker IN (SELECT id FROM gone)
                    OR NOT EXISTS (SELECT FROM job_workers WHERE job_workers.id = job_runs.worker))
              FOR UPDATE SKIP LOCKED
            )
            UPDATE job_runs
            SET crashes = crashes + 1, worker = NULL, progress = NULL, due_at = now(),
                status = CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled' WHEN crashes + 1 >= $2 THEN 'dead' ELSE 'queued' END,
                finished_at = CASE WHEN cancel_requested_at IS NOT NULL OR crashes + 1 >= $2 THEN now() END,
                last_error = 'the process ended while the job ran (' || crashes + 1 || ' times)'
            FROM orphans WHERE job_runs.id = orphans.id
            RETURNING job_runs.id, kind, crashes, status = 'dead' AS "is_dead!""#,
            self.lease,
            MAX_CRASHES
        );
        Ok(crashed.fetch_all(&mut **transaction).await?)
    }
}
