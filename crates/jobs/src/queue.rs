//! The limit on queued runs.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use database::Database;
use macros::Refusal;
use outcome::common;
use resilience::Deadline;

use crate::{
    JobMetrics,
    totals::{ReadTotals, State},
};

/// The interval at which the totals are read.
const INTERVAL: Duration = Duration::from_secs(2);
/// The pause after a count that failed: one that takes too long must not be repeated immediately.
const PAUSE: Duration = Duration::from_secs(10);
/// The age from which a depth says nothing about the present.
const STALE_AFTER: Duration = Duration::from_secs(10);
/// The time limit of a count.
const LIMIT: Duration = Duration::from_secs(5);

/// The ways in which enqueuing is refused.
#[derive(Debug, Refusal)]
pub enum QueueRefusal {
    /// 503: as many runs as allowed are queued.
    #[problem(common::OVERLOADED, "too many jobs are queued")]
    Full,
}

/// The number of queued runs, which one process of the cluster counts and all read, so that no request pays for it.
#[derive(Clone, Debug)]
pub struct Queue {
    depth: Arc<Mutex<Option<(i64, Instant)>>>,
    limit: i64,
}

impl Queue {
    /// A queue of at most `limit` due runs; those that wait for a dependency or a later time do not count.
    pub fn new(limit: usize) -> Self {
        Self {
            depth: Arc::default(),
            limit: i64::try_from(limit).unwrap_or(i64::MAX),
        }
    }

    /// Whether there is room for another run. Costs no query. Without a count of the last ten seconds there is.
    ///
    /// # Errors
    /// [`QueueRefusal::Full`].
    pub fn admit(&self) -> Result<(), QueueRefusal> {
        let depth = *self.depth.lock().unwrap_or_else(PoisonError::into_inner);
        match depth {
            Some((depth, counted)) if depth >= self.limit && counted.elapsed() < STALE_AFTER => {
                Err(QueueRefusal::Full)
            }
            _ => Ok(()),
        }
    }

    /// Keeps the depth and the gauges up to date until it is dropped.
    pub async fn keep_counting(self, database: Database, metrics: JobMetrics) {
        let mut works = true;
        loop {
            let totals = database
                .run_idempotent(&ReadTotals, Deadline::after(LIMIT), || ())
                .await;
            match &totals {
                Ok(totals) => {
                    let queued = totals.counts.iter().filter(|count| count.state == State::Queued);
                    let depth = queued.map(|count| count.runs).sum();
                    let age = Duration::try_from_secs_f64(totals.age_seconds).unwrap_or_default();
                    let counted = Instant::now().checked_sub(age);
                    let mut known = self.depth.lock().unwrap_or_else(PoisonError::into_inner);
                    *known = counted.map(|counted| (depth, counted));
                    metrics.set_counts(&totals.counts);
                }
                Err(error) if works => {
                    tracing::warn!(%error, "jobs cannot be counted; their gauges are stale");
                }
                Err(_) => {}
            }
            works = totals.is_ok();
            tokio::time::sleep(if works { INTERVAL } else { PAUSE }).await;
        }
    }
}
