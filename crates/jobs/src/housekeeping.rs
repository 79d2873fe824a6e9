//! What the service does for itself: runs by the clock, and one of them that clears away.

use std::time::Duration;

use chrono::Utc;
use database::{DatabaseError, Transaction, TransactionError, UnitOfWork, idempotency};
use runtime::RequestContext;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{BoundKind, Job, JobError, JobKind, Run, Settings, deliver::Deliveries};

/// How often it is looked whether a period has begun.
const LOOK: Duration = Duration::from_secs(5);

/// The jobs of this crate itself, which every worker runs. Ten thousand keys and runs at a time: more than that many
/// writes in a minute need a shorter period.
pub const MAINTENANCE_JOBS: &[JobKind<Settings>] =
    &[JobKind::of::<ClearAway>().every(idempotency::CLEAR_EVERY)];

/// Deletes idempotency keys and runs that nobody asks for any more.
#[derive(Serialize, Deserialize)]
pub(crate) struct ClearAway {}

/// How much went.
#[derive(Serialize)]
pub(crate) struct Cleared {
    keep_runs_seconds: f64,
}

impl Job for ClearAway {
    const KIND: &'static str = "clear_away";
    type State = Settings;
    type Outcome = Cleared;

    async fn run(&self, run: &Run<Settings>) -> Result<Cleared, JobError> {
        let keep_runs_seconds = run.state.retention.as_secs_f64();
        Ok(Cleared { keep_runs_seconds })
    }

    async fn commit(&self, cleared: &Cleared, transaction: &mut Transaction<'_>) -> sqlx::Result<()> {
        idempotency::delete_expired(&mut *transaction).await?;
        // Dead runs stay: somebody has to look at them. So does the newest by the clock: without it, its period
        // would get a second one.
        sqlx::query!(
            "/* clear_runs */
            DELETE FROM job_runs WHERE ctid IN
              (SELECT ctid FROM job_runs
               WHERE status IN ('succeeded', 'failed') AND finished_at < now() - make_interval(secs => $1)
                 AND (slot IS NULL OR EXISTS
                   (SELECT FROM job_runs AS later
                    WHERE later.kind = job_runs.kind AND later.slot IS NOT NULL AND later.id > job_runs.id))
               LIMIT 10000)",
            cleared.keep_runs_seconds
        )
        .execute(&mut **transaction)
        .await?;
        Ok(())
    }
}

struct Enqueue {
    kind: BoundKind,
    slot: i64,
}

impl UnitOfWork for Enqueue {
    const NAME: &'static str = "enqueue_by_clock";
    type Output = ();
    type Refusal = DatabaseError;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<DatabaseError>> {
        // The unique slot decides which of all workers enqueues.
        let statement = sqlx::query(
            "/* enqueue_by_clock */
            WITH run AS (
              INSERT INTO job_runs (id, kind, slot, payload, attempts_allowed)
              VALUES ($1, $2, $3, '{}', $4)
              ON CONFLICT ON CONSTRAINT job_runs_kind_slot DO NOTHING
              RETURNING id, delivery
            )
            SELECT (graphile_worker.add_job('run', json_build_object('run', run.id, 'delivery', run.delivery))).id FROM run",
        );
        statement
            .bind(Uuid::now_v7())
            .bind(self.kind.name)
            .bind(self.slot)
            .bind(self.kind.attempts)
            .execute(&mut **transaction)
            .await?;
        Ok(())
    }
}

/// Enqueues what is due by the clock, until it is dropped.
pub(super) async fn schedule(deliveries: Deliveries) {
    let kinds = deliveries.kinds.iter();
    let by_the_clock: Vec<(&BoundKind, Duration)> =
        kinds.filter_map(|kind| Some((kind, kind.every?))).collect();
    loop {
        for (kind, period) in by_the_clock.iter().copied() {
            let slot = Utc::now().timestamp() / period.as_secs().max(1).cast_signed();
            let context = RequestContext::new("clock".into(), String::new(), tracing::Span::none(), LOOK);
            let enqueue = Enqueue {
                kind: kind.clone(),
                slot,
            };
            if let Err(fault) = deliveries.database.transaction(enqueue, &context).await {
                tracing::debug!(%fault, job = kind.name, "periodic job was not enqueued");
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
