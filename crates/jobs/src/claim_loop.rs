//! The loop that claims due runs whenever there is capacity.

use std::{sync::Arc, time::Duration};

use database::DatabaseError;
use resilience::Deadline;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::{
    backoff::jittered,
    claim::{Claim, Room},
    in_flight::InFlight,
    leaseholder::Leaseholder,
};

/// With a backlog, the time for which a claim waits until half of the capacity is free, so that it takes several short
/// runs at a time.
const GATHERING: Duration = Duration::from_millis(3);
/// The time limit of a claim.
const CLAIM_LIMIT: Duration = Duration::from_secs(5);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// Claims and starts runs until `stopping` is cancelled.
pub(crate) async fn claim_runs(
    in_flight: Arc<InFlight>,
    leaseholder: Arc<Leaseholder>,
    wake: Arc<Notify>,
    poll_interval: Duration,
    stopping: CancellationToken,
) {
    let mut backoff = FIRST_BACKOFF;
    while !stopping.is_cancelled() {
        let Some((slots, rooms)) = in_flight.reserve() else {
            stopping.run_until_cancelled(in_flight.freed()).await;
            continue;
        };
        // Not cancelled half-way: what was claimed has to be started.
        match claim(&in_flight, &leaseholder, &stopping, &rooms, slots).await {
            Ok(is_limited) => {
                leaseholder.set_claiming(!stopping.is_cancelled());
                backoff = FIRST_BACKOFF;
                let more = async {
                    if !is_limited {
                        std::future::pending::<()>().await;
                    }
                    in_flight.freed().await;
                    let enough = async {
                        while !in_flight.is_half_free() {
                            in_flight.freed().await;
                        }
                    };
                    let _ = tokio::time::timeout(GATHERING, enough).await;
                };
                tokio::select! {
                    () = more => {}
                    () = wake.notified() => {}
                    () = tokio::time::sleep(poll_interval) => {}
                    () = stopping.cancelled() => {}
                }
            }
            Err(error) => {
                if leaseholder.set_claiming(false) {
                    tracing::warn!(%error, "jobs cannot be claimed; retrying");
                }
                let pause = tokio::time::sleep(jittered(backoff));
                stopping.run_until_cancelled(pause).await;
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
            }
        }
    }
}

/// Claims once; returns whether a limit of this worker may have kept it from claiming more.
async fn claim(
    in_flight: &Arc<InFlight>,
    leaseholder: &Leaseholder,
    stopping: &CancellationToken,
    rooms: &[Room<'_>],
    mut slots: OwnedSemaphorePermit,
) -> Result<bool, DatabaseError> {
    // Held until what was claimed is in flight: until then, the identity must not change, and the worker must not stop.
    let worker = leaseholder.id().await;
    if stopping.is_cancelled() {
        return Ok(false);
    }
    let claim = Claim::new(*worker, rooms, slots.num_permits());
    let deadline = Deadline::after(CLAIM_LIMIT);
    let claimed = leaseholder.jobs.run_idempotent(&claim, deadline, || ()).await?;
    let of = |room: &Room<'_>| claimed.iter().filter(|run| run.kind == room.kind.name()).count();
    let is_limited = rooms.len() < in_flight.kinds().len() || rooms.iter().any(|room| of(room) >= room.free);
    for run in claimed {
        let slot = slots
            .split(1)
            .expect("a claim takes no more runs than it has slots");
        in_flight.start(run, slot);
    }
    drop(worker);
    Ok(is_limited)
}
