//! The way in: one statement in the caller's transaction, and a bound on what waits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use database::{Database, Transaction};
use macros::Refusal;
use outcome::common;
use runtime::RequestContext;
use uuid::Uuid;

use super::{Job, JobMetrics};

/// How often the depth is counted.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// How enqueuing can be refused.
#[derive(Debug, Refusal)]
pub enum QueueRefusal {
    /// 503: as many jobs as allowed are waiting.
    #[problem(common::OVERLOADED, "too many jobs are queued")]
    Full,
}

/// How much waits, counted once per second so that no request pays for it.
#[derive(Clone, Debug)]
pub struct Queue {
    depth: Arc<AtomicI64>,
    limit: i64,
}

impl Queue {
    /// A queue of at most `limit` waiting jobs.
    pub fn new(limit: usize) -> Self {
        Self {
            depth: Arc::default(),
            limit: i64::try_from(limit).unwrap_or(i64::MAX),
        }
    }

    /// Whether there is room for one more. Ask before the transaction; it costs no query.
    ///
    /// # Errors
    /// [`QueueRefusal::Full`].
    pub fn admit(&self) -> Result<(), QueueRefusal> {
        if self.depth.load(Ordering::Relaxed) < self.limit {
            Ok(())
        } else {
            Err(QueueRefusal::Full)
        }
    }

    /// Counts until the process ends.
    pub async fn keep_counting(self, database: Database, metrics: JobMetrics) {
        let mut known = true;
        loop {
            let counted = super::store::counts(&database).await;
            match counted {
                Ok(counts) => {
                    known = true;
                    self.depth.store(counts.queued, Ordering::Relaxed);
                    metrics.set_counts(counts.queued, counts.dead, counts.oldest_seconds);
                }
                Err(fault) if known => {
                    known = false;
                    tracing::warn!(%fault, "jobs cannot be counted; their gauges are stale");
                }
                Err(_) => {}
            }
            tokio::time::sleep(COUNT_EVERY).await;
        }
    }
}

/// Puts a job into the queue as part of the caller's transaction: rolled back it was never there, committed it
/// will run. Gives the id, which is also what `GET /v1/jobs/{id}` takes.
///
/// # Errors
/// A failed statement.
///
/// # Panics
/// When the payload does not serialize.
pub async fn enqueue<J: Job>(
    transaction: &mut Transaction<'_>,
    subject: &str,
    job: &J,
    context: &RequestContext,
) -> sqlx::Result<Uuid> {
    let id = Uuid::now_v7();
    // The library's function is not ours to check at compile time.
    let statement = sqlx::query(
        "/* enqueue */
        WITH run AS (
          INSERT INTO job_runs (id, subject, kind, payload, attempts_allowed, request_id, traceparent)
          VALUES ($1, $2, $3, $4, $5, $6, $7)
          RETURNING id, delivery
        )
        SELECT (graphile_worker.add_job('run', json_build_object('run', run.id, 'delivery', run.delivery))).id FROM run",
    );
    statement
        .bind(id)
        .bind(subject)
        .bind(J::KIND)
        .bind(serde_json::to_value(job).expect("payloads serialize"))
        .bind(J::ATTEMPTS)
        .bind(context.request_id())
        .bind(context.traceparent())
        .execute(&mut **transaction)
        .await?;
    Ok(id)
}
