//! Suspects: runs during which a process has ended more than once. Each runs alone, so that a run that kills its process
//! takes no other one with it, and one that was only near it succeeds.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use database::{DatabaseError, Transaction, TransactionError, UnitOfWork};
use resilience::Deadline;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{claim::Claimed, in_flight::InFlight, leaseholder::Leaseholder};

/// The time limit of a statement.
const LIMIT: Duration = Duration::from_secs(5);
/// The time, in seconds, for which a suspect is reserved for one worker. A suspect is claimed only once it can run, so that
/// a worker that ends in the meantime does not add a crash.
const RESERVED_SECONDS: f64 = 60.0;

/// Runs suspects, one at a time, until `stopping` is cancelled.
pub(crate) async fn run_suspects(
    in_flight: Arc<InFlight>,
    leaseholder: Arc<Leaseholder>,
    due: Arc<Notify>,
    stopping: CancellationToken,
) {
    while stopping.run_until_cancelled(due.notified()).await.is_some() {
        if let Err(error) = run_one(&in_flight, &leaseholder, &stopping).await {
            tracing::warn!(%error, "a suspect was not claimed; retrying");
        }
    }
}

async fn run_one(
    in_flight: &Arc<InFlight>,
    leaseholder: &Leaseholder,
    stopping: &CancellationToken,
) -> Result<(), DatabaseError> {
    let reserve = Reserve {
        kinds: in_flight.names(),
    };
    let reserved = leaseholder
        .jobs
        .run_idempotent(&reserve, Deadline::after(LIMIT), || ())
        .await?;
    let Some(reserved) = reserved else {
        return Ok(());
    };
    let Some(slots) = stopping.run_until_cancelled(in_flight.reserve_all()).await else {
        return Ok(());
    };
    let worker = leaseholder.id().await;
    if stopping.is_cancelled() {
        return Ok(());
    }
    let claim = ClaimSuspect {
        worker: *worker,
        reserved,
    };
    let claimed = leaseholder
        .jobs
        .run_idempotent(&claim, Deadline::after(LIMIT), || ())
        .await;
    match claimed {
        Ok(Some(claimed)) => in_flight.start(claimed, slots),
        Ok(None) => in_flight.release(slots),
        Err(error) => {
            in_flight.release(slots);
            return Err(error);
        }
    }
    drop(worker);
    Ok(())
}

/// A suspect that is reserved for this worker. Until it is claimed, its due time proves that.
#[derive(Debug)]
struct Reserved {
    id: Uuid,
    due_at: DateTime<Utc>,
}

/// Reserves the suspect that has been due for the longest time.
struct Reserve {
    kinds: Vec<String>,
}

impl UnitOfWork for Reserve {
    const NAME: &'static str = "reserve_suspect";
    type Output = Option<Reserved>;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Option<Reserved>, TransactionError<DatabaseError>> {
        let reserved = sqlx::query_as!(
            Reserved,
            "/* reserve_suspect */
            UPDATE job_runs SET due_at = now() + make_interval(secs => $2)
            WHERE id IN (SELECT id FROM job_runs
                         WHERE kind = ANY($1) AND status = 'queued' AND crashes >= 2 AND due_at <= now()
                           AND kind NOT IN (SELECT kind FROM job_pauses WHERE until > now())
                         ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING id, due_at",
            &self.kinds,
            RESERVED_SECONDS
        );
        Ok(reserved.fetch_optional(&mut **transaction).await?)
    }
}

/// Claims a suspect that was reserved.
struct ClaimSuspect {
    worker: Uuid,
    reserved: Reserved,
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
            UPDATE job_runs
            SET status = 'running', attempt = attempt + 1, worker = $1, started_at = now(), progress = NULL
            WHERE id = $2 AND due_at = $3 AND status = 'queued' AND EXISTS (SELECT FROM job_workers WHERE job_workers.id = $1)
            RETURNING id, kind, payload, attempt, failures, postponements, crashes, subject, request_id, traceparent,
              COALESCE(EXTRACT(EPOCH FROM now() - failing_since), 0)::float8 AS "failing_seconds!", worker AS "worker!",
              false AS "is_probe!""#,
            self.worker,
            self.reserved.id,
            self.reserved.due_at
        );
        Ok(claimed.fetch_optional(&mut **transaction).await?)
    }
}
