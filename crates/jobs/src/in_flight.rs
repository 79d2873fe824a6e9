//! The runs in flight in a worker, and its free capacity.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::{
    BoundKind, Progress,
    attempt::Attempts,
    claim::{Claimed, Room},
    run::Controls,
};

/// The runs of one worker, from the claim to the recorded end of the attempt.
pub(crate) struct InFlight {
    attempts: Attempts,
    kinds: Vec<BoundKind>,
    concurrency: usize,
    slots: Arc<Semaphore>,
    /// By id and attempt: after a lost lease, two attempts of one run can be in flight in this worker.
    runs: Mutex<HashMap<(Uuid, i32), Entry>>,
    freed: Notify,
    tracker: TaskTracker,
}

struct Entry {
    kind: &'static str,
    controls: Arc<Controls>,
}

/// Removes an entry when it is dropped.
struct Removal<'h> {
    this: &'h InFlight,
    key: (Uuid, i32),
    controls: Arc<Controls>,
}

impl Drop for Removal<'_> {
    fn drop(&mut self) {
        let mut runs = self.this.runs();
        if runs
            .get(&self.key)
            .is_some_and(|entry| Arc::ptr_eq(&entry.controls, &self.controls))
        {
            runs.remove(&self.key);
        }
        drop(runs);
        self.this.freed.notify_one();
    }
}

fn permits(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight").finish_non_exhaustive()
    }
}

impl InFlight {
    pub(crate) fn new(attempts: Attempts, kinds: Vec<BoundKind>, concurrency: usize) -> Arc<Self> {
        Arc::new(Self {
            attempts,
            kinds,
            concurrency,
            slots: Arc::new(Semaphore::new(concurrency)),
            runs: Mutex::default(),
            freed: Notify::new(),
            tracker: TaskTracker::new(),
        })
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<(Uuid, i32), Entry>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves the free slots for a claim; returns how many runs of each kind may take them. A kind without room is left
    /// out. While a suspect waits for all slots, there are none.
    pub(crate) fn reserve(&self) -> Option<(OwnedSemaphorePermit, Vec<Room<'_>>)> {
        let free = self.slots.available_permits();
        let slots = self.slots.clone().try_acquire_many_owned(permits(free)).ok()?;
        let runs = self.runs();
        let taken = |kind: &BoundKind| runs.values().filter(|entry| entry.kind == kind.name()).count();
        let rooms = self.kinds.iter().filter_map(|kind| {
            let free = free.min(kind.properties.concurrency.saturating_sub(taken(kind)));
            (free > 0).then_some(Room { kind, free })
        });
        let rooms: Vec<Room<'_>> = rooms.collect();
        (!rooms.is_empty()).then_some((slots, rooms))
    }

    /// All kinds, with and without room.
    pub(crate) fn kinds(&self) -> &[BoundKind] {
        &self.kinds
    }

    /// The names of all kinds.
    pub(crate) fn names(&self) -> Vec<String> {
        self.kinds.iter().map(|kind| kind.name().to_owned()).collect()
    }

    /// Whether at least half of the capacity is free.
    pub(crate) fn is_half_free(&self) -> bool {
        2 * self.slots.available_permits() >= self.concurrency
    }

    /// Waits until an attempt has ended since the last call.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Waits until nothing else is in flight, and reserves all slots for a suspect. The semaphore is fair: meanwhile, no
    /// other run gets a slot.
    pub(crate) async fn reserve_all(&self) -> OwnedSemaphorePermit {
        let slots = self.slots.clone().acquire_many_owned(permits(self.concurrency));
        slots.await.expect("the semaphore is never closed")
    }

    /// Frees slots that no run has taken, and wakes the claim loop.
    pub(crate) fn release(&self, slots: OwnedSemaphorePermit) {
        drop(slots);
        self.freed.notify_one();
    }

    /// Executes a claimed run in these slots.
    pub(crate) fn start(self: &Arc<Self>, claimed: Claimed, slots: OwnedSemaphorePermit) {
        let kind = self.kinds.iter().find(|kind| kind.name() == claimed.kind);
        let kind = kind.expect("only known kinds are claimed").clone();
        let key = (claimed.id, claimed.attempt);
        let controls = Arc::<Controls>::default();
        let entry = Entry {
            kind: kind.name(),
            controls: controls.clone(),
        };
        // The server has forgotten the claim of an earlier attempt with this number.
        if let Some(replaced) = self.runs().insert(key, entry) {
            replaced.controls.lost.cancel();
        }
        let this = self.clone();
        self.tracker.spawn(async move {
            // Removed even if the attempt panics: a run in flight is never executed by another worker.
            let _removal = Removal {
                this: &this,
                key,
                controls: controls.clone(),
            };
            let _slots = slots;
            this.attempts.execute(claimed, kind, controls).await;
        });
    }

    pub(crate) fn ids(&self) -> Vec<Uuid> {
        self.runs().keys().map(|(id, _)| *id).collect()
    }

    /// The progress that jobs have reported since the last call.
    pub(crate) fn take_progress(&self) -> Vec<(Uuid, i32, Progress)> {
        let runs = self.runs();
        let reported = runs
            .iter()
            .filter_map(|((id, attempt), entry)| Some((*id, *attempt, entry.controls.take_progress()?)));
        reported.collect()
    }

    /// Asks jobs to end, because an operator has cancelled them.
    pub(crate) fn cancel(&self, ids: &[Uuid]) {
        for ((id, _), entry) in self.runs().iter() {
            if ids.contains(id) {
                entry.controls.cancelled.cancel();
            }
        }
    }

    /// Aborts every attempt, because the leases have expired.
    pub(crate) fn lose_all(&self) {
        for entry in self.runs().values() {
            entry.controls.lost.cancel();
        }
    }

    /// Waits until no run is in flight. Nothing may be claimed any more.
    pub(crate) async fn idle(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
