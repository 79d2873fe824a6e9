//! The phases from start to end, and the work that must not be cut off.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::task::TaskTracker;

/// Where the process is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Requests are served.
    Serving = 0,
    /// Not ready any more, so that balancers turn away; whoever still comes is served and told to close.
    Leaving = 1,
    /// No new requests; what was accepted is finished.
    Draining = 2,
}

/// Shared by servers, probes and the database. Clones are the same lifecycle.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    phase: Arc<AtomicU8>,
    started: Arc<AtomicBool>,
    commit_sections: TaskTracker,
    background: TaskTracker,
    runtime: Handle,
}

impl Lifecycle {
    /// Serving, not yet started. Commit sections run on `runtime`, which outlives every server thread.
    pub fn new(runtime: Handle) -> Self {
        Self {
            phase: Arc::default(),
            started: Arc::default(),
            commit_sections: TaskTracker::new(),
            background: TaskTracker::new(),
            runtime,
        }
    }

    /// The current phase.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Leaving,
            _ => Phase::Draining,
        }
    }

    /// Goes on to `phase`; never back.
    pub fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
    }

    /// Configuration valid, database reached, schema new enough: it stays so.
    pub fn set_started(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// Whether start-up is complete.
    pub fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// The runtime that outlives every server thread.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Runs work that a client's hang-up must not cut in half. Shutdown waits for it.
    pub fn commit_section<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.commit_sections.spawn_on(work, &self.runtime)
    }

    /// Runs work that nobody waits for and that may be lost, such as filling a cache.
    pub fn in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.background.spawn_on(work, &self.runtime);
    }

    /// Waits until nothing runs in the background.
    pub async fn background_idle(&self) {
        self.background.close();
        self.background.wait().await;
        self.background.reopen();
    }

    /// Waits until no commit section runs, at most `limit`; tells whether none was left.
    pub async fn finish_commit_sections(&self, limit: Duration) -> bool {
        self.commit_sections.close();
        tokio::time::timeout(limit, self.commit_sections.wait())
            .await
            .is_ok()
    }
}
