//! The loop that keeps the leases of a worker, and takes those of workers that are gone.

use std::{sync::Arc, time::Duration};

use database::DatabaseError;
use resilience::Deadline;

use crate::{
    BoundKind, JobMetrics,
    heartbeat::{Heartbeat, Sweep},
    in_hand::InHand,
    lease::Leaseholder,
    suspects::ClaimSuspect,
};

/// Heartbeats within one lease.
const BEATS_PER_LEASE: u32 = 5;

/// Sends heartbeats until it is dropped.
pub(crate) async fn keep_leases(
    in_hand: Arc<InHand>,
    leaseholder: Arc<Leaseholder>,
    metrics: JobMetrics,
    lease: Duration,
    may_claim: impl Fn() -> bool,
) {
    let interval = lease / BEATS_PER_LEASE;
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match beat(&in_hand, &leaseholder, &metrics, lease, &may_claim).await {
            Ok(()) => _ = leaseholder.set_beating(true),
            Err(error) => {
                if leaseholder.set_beating(false) {
                    tracing::warn!(%error, "heartbeats of the worker fail; retrying");
                }
            }
        }
    }
}

async fn beat(
    in_hand: &Arc<InHand>,
    leaseholder: &Leaseholder,
    metrics: &JobMetrics,
    lease: Duration,
    may_claim: &impl Fn() -> bool,
) -> Result<(), DatabaseError> {
    let deadline = || Deadline::after(lease / 2);
    let checks = &leaseholder.checks;
    let worker = *leaseholder.id().await;
    let heartbeat = Heartbeat {
        worker,
        lease: lease.as_secs_f64(),
        running: in_hand.ids(),
        progress: in_hand.take_progress(),
        kinds: in_hand
            .kinds()
            .iter()
            .map(|kind| kind.name().to_owned())
            .collect(),
    };
    let beat = checks.run_idempotent(&heartbeat, deadline(), || ()).await?;
    if !beat.is_alive {
        tracing::warn!("the leases of the worker have expired; its attempts are aborted");
        in_hand.lose_all();
        return leaseholder.renew().await;
    }
    in_hand.cancel(&beat.cancelled);
    let sweep = Sweep {
        lease: lease.as_secs_f64(),
    };
    for run in checks.run_idempotent(&sweep, deadline(), || ()).await? {
        let kind = in_hand.kinds().iter().find(|kind| kind.name() == run.kind);
        metrics.crashed(kind.map(BoundKind::name), run.is_dead);
        let (job, run, crashes, is_dead) = (run.kind, run.id, run.crashes, run.is_dead);
        tracing::error!(job, %run, crashes, is_dead, "the worker of a job is gone");
    }
    if beat.has_suspect && may_claim() && !in_hand.has_suspect() {
        let suspect = ClaimSuspect {
            worker,
            kinds: heartbeat.kinds,
        };
        let claimed = checks.run_idempotent(&suspect, deadline(), || ()).await?;
        if let Some(run) = claimed {
            in_hand.start(run);
        }
    }
    Ok(())
}
