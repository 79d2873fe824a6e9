//! The runs that a worker has in hand, and its free capacity.

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
pub(crate) struct InHand {
    attempts: Attempts,
    kinds: Vec<BoundKind>,
    concurrency: usize,
    slots: Arc<Semaphore>,
    /// By id and attempt: after a lost lease, two attempts of one run can be in the same hand for a moment.
    runs: Mutex<HashMap<(Uuid, i32), Entry>>,
    freed: Notify,
    tracker: TaskTracker,
}

struct Entry {
    kind: &'static str,
    controls: Arc<Controls>,
}

/// The slots of a run, which are free again when it is dropped.
pub(crate) struct Slots(#[expect(dead_code, reason = "held")] Option<OwnedSemaphorePermit>);

/// Removes an entry when it is dropped.
struct Removal<'h> {
    this: &'h InHand,
    key: (Uuid, i32),
}

impl Drop for Removal<'_> {
    fn drop(&mut self) {
        self.this.runs().remove(&self.key);
        self.this.freed.notify_one();
    }
}

fn permits(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl fmt::Debug for InHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InHand").finish_non_exhaustive()
    }
}

impl InHand {
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

    /// The number of runs that may be claimed now, and how many of each kind; a kind without room is left out.
    pub(crate) fn rooms(&self) -> (usize, Vec<Room<'_>>) {
        let free = self.slots.available_permits();
        let runs = self.runs();
        let taken = |kind: &BoundKind| runs.values().filter(|entry| entry.kind == kind.name()).count();
        let rooms = self.kinds.iter().filter_map(|kind| {
            let limit = kind.properties.concurrency;
            let left = if limit < self.concurrency {
                limit.saturating_sub(taken(kind))
            } else {
                free
            };
            let free = free.min(left);
            (free > 0).then_some(Room { kind, free })
        });
        (free, rooms.collect())
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

    /// Waits until nothing else is in hand, and keeps it so: a suspect runs alone. The semaphore is fair: while a suspect
    /// waits for all slots, no other run gets one.
    pub(crate) async fn all_slots(&self) -> Slots {
        let slots = self.slots.clone().acquire_many_owned(permits(self.concurrency));
        Slots(slots.await.ok())
    }

    /// Executes a claimed run.
    pub(crate) fn start(self: &Arc<Self>, claimed: Claimed) {
        let slots = self.slots.clone().try_acquire_owned();
        let this = self.clone();
        let slots = async move {
            match slots {
                Ok(slot) => Slots(Some(slot)),
                // A suspect waits for all slots.
                Err(_) => Slots(this.slots.clone().acquire_owned().await.ok()),
            }
        };
        self.start_with(claimed, slots);
    }

    /// Executes a claimed run as soon as there are slots for it.
    pub(crate) fn start_with(
        self: &Arc<Self>,
        claimed: Claimed,
        slots: impl Future<Output = Slots> + Send + 'static,
    ) {
        let kind = self.kinds.iter().find(|kind| kind.name() == claimed.kind);
        let kind = kind.expect("only known kinds are claimed").clone();
        let key = (claimed.id, claimed.attempt);
        let controls = Arc::<Controls>::default();
        let entry = Entry {
            kind: kind.name(),
            controls: controls.clone(),
        };
        self.runs().insert(key, entry);
        let this = self.clone();
        self.tracker.spawn(async move {
            // Removed even if the attempt panics: what stays in hand is never run by another worker.
            let _removal = Removal { this: &this, key };
            let _slots = slots.await;
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

    /// Waits until no attempt is in hand. Nothing may be claimed any more.
    pub(crate) async fn idle(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
