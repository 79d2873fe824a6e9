//! The loop that renews the leases of a worker and recovers the runs of workers that have lost theirs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use database::DatabaseError;
use resilience::Deadline;
use tokio::sync::Notify;

use crate::{
    BoundKind, JobMetrics,
    heartbeat::{Beat, Report, Sweep},
    in_flight::InFlight,
    leaseholder::Leaseholder,
};

/// Heartbeats within one lease.
const BEATS_PER_LEASE: u32 = 5;
/// The worker looks for the runs of other workers at each second heartbeat.
const BEATS_PER_SWEEP: u64 = 2;

/// The leases of one worker.
pub(crate) struct Leases {
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) leaseholder: Arc<Leaseholder>,
    pub(crate) metrics: JobMetrics,
    pub(crate) lease: Duration,
    /// Woken when a suspect is due.
    pub(crate) suspect_due: Arc<Notify>,
}

impl Leases {
    /// Sends heartbeats until it is dropped.
    pub(crate) async fn keep(self) {
        let mut ticks = tokio::time::interval(self.lease / BEATS_PER_LEASE);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut beating_since = None;
        for number in 0u64.. {
            ticks.tick().await;
            if let Err(error) = self.beat().await {
                beating_since = None;
                if self.leaseholder.set_beating(false) {
                    tracing::warn!(%error, "heartbeats of the worker fail; retrying");
                }
                continue;
            }
            self.leaseholder.set_beating(true);
            // After an outage of Postgres all workers are late. Each has a lease to show that it is alive.
            let since = *beating_since.get_or_insert_with(Instant::now);
            let may_sweep = since.elapsed() >= self.lease && number.is_multiple_of(BEATS_PER_SWEEP);
            let done = async {
                self.report().await?;
                if may_sweep {
                    self.sweep().await?;
                }
                Ok::<_, DatabaseError>(())
            };
            if let Err(error) = done.await {
                tracing::warn!(%error, "the runs of this worker were not reported, or expired leases were not checked; retrying");
            }
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.lease / 4)
    }

    async fn beat(&self) -> Result<(), DatabaseError> {
        let beat = Beat(*self.leaseholder.id().await);
        let checks = &self.leaseholder.checks;
        if checks.run_idempotent(&beat, self.deadline(), || ()).await? {
            return Ok(());
        }
        tracing::warn!("the leases of the worker have expired; its attempts are aborted");
        self.leaseholder.renew(|| self.in_flight.lose_all()).await
    }

    async fn report(&self) -> Result<(), DatabaseError> {
        let report = Report {
            worker: *self.leaseholder.id().await,
            lease: self.lease.as_secs_f64(),
            running: self.in_flight.ids(),
            progress: self.in_flight.take_progress(),
            kinds: self.in_flight.names(),
        };
        let checks = &self.leaseholder.checks;
        let response = checks.run_idempotent(&report, self.deadline(), || ()).await?;
        self.in_flight.cancel(&response.cancelled);
        if response.has_suspect {
            self.suspect_due.notify_one();
        }
        Ok(())
    }

    async fn sweep(&self) -> Result<(), DatabaseError> {
        let sweep = Sweep {
            lease: self.lease.as_secs_f64(),
        };
        let checks = &self.leaseholder.checks;
        for run in checks.run_idempotent(&sweep, self.deadline(), || ()).await? {
            let kind = self.in_flight.kinds().iter().find(|kind| kind.name() == run.kind);
            self.metrics.crashed(kind.map(BoundKind::name), run.is_dead);
            let (job, run, crashes, is_dead) = (run.kind, run.id, run.crashes, run.is_dead);
            tracing::error!(job, %run, crashes, is_dead, "the worker of a job has lost its lease");
        }
        Ok(())
    }
}
