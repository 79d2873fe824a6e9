//! The phases of the process, and the work that must not be interrupted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::task::TaskTracker;

/// The phase of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Requests are served.
    Serving = 0,
    /// Readiness is withdrawn, so that load balancers stop sending requests. Requests are still served, with
    /// `Connection: close`.
    Terminating = 1,
    /// No new requests are accepted; accepted ones are completed.
    Draining = 2,
}

/// The lifecycle of the process, shared by servers, probes and the database. Clones share it.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    phase: Arc<AtomicU8>,
    started: Arc<AtomicBool>,
    critical_sections: TaskTracker,
    background: TaskTracker,
    runtime: Handle,
}

impl Lifecycle {
    /// A lifecycle that is serving and not yet started. Critical sections run on `runtime`, which outlives every server
    /// thread.
    pub fn new(runtime: Handle) -> Self {
        Self {
            phase: Arc::default(),
            started: Arc::default(),
            critical_sections: TaskTracker::new(),
            background: TaskTracker::new(),
            runtime,
        }
    }

    /// The current phase.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Terminating,
            _ => Phase::Draining,
        }
    }

    /// Advances to `phase`; never goes back.
    pub fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
    }

    /// Marks start-up as complete for good: configuration valid, database reached, schema new enough.
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

    /// Runs a critical section, which completes even if the client disconnects. Shutdown waits for it.
    pub fn spawn_critical<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.critical_sections.spawn_on(work, &self.runtime)
    }

    /// Runs background work that may be lost, such as filling a cache. Shutdown does not wait for it.
    pub fn spawn_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.background.spawn_on(work, &self.runtime);
    }

    /// Waits until no background work is running.
    pub async fn background_idle(&self) {
        self.background.close();
        self.background.wait().await;
        self.background.reopen();
    }

    /// Waits for at most `limit` until no critical section is running; returns whether all have ended.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.critical_sections.close();
        tokio::time::timeout(limit, self.critical_sections.wait())
            .await
            .is_ok()
    }
}
