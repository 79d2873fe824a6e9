//! Signs of life of the threads that serve.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The time since each serving thread last made progress. Clones share the threads.
#[derive(Clone, Debug)]
pub struct Heartbeats {
    began: Instant,
    /// Milliseconds between `began` and the latest sign of life of each thread.
    threads: Arc<Mutex<Vec<Arc<AtomicU64>>>>,
}

impl Default for Heartbeats {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            threads: Arc::default(),
        }
    }
}

impl Heartbeats {
    /// Watches a thread until the heartbeat is dropped.
    pub fn watch(&self) -> Heartbeat {
        let latest = Arc::new(AtomicU64::new(self.now()));
        self.threads().push(latest.clone());
        Heartbeat {
            all: self.clone(),
            latest,
        }
    }

    /// The longest time that any thread has been without progress; zero if none is watched.
    pub fn stalled_for(&self) -> Duration {
        let now = self.now();
        let oldest = self
            .threads()
            .iter()
            .map(|latest| latest.load(Ordering::Relaxed))
            .min();
        Duration::from_millis(oldest.map_or(0, |oldest| now.saturating_sub(oldest)))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn threads(&self) -> MutexGuard<'_, Vec<Arc<AtomicU64>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The heartbeat of one thread.
#[derive(Debug)]
pub struct Heartbeat {
    all: Heartbeats,
    latest: Arc<AtomicU64>,
}

impl Heartbeat {
    /// Records that the thread makes progress.
    pub fn beat(&self) {
        self.latest.store(self.all.now(), Ordering::Relaxed);
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.all
            .threads()
            .retain(|latest| !Arc::ptr_eq(latest, &self.latest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stalled_thread_is_enough_and_a_thread_that_ended_does_not_count() {
        let all = Heartbeats::default();
        assert_eq!(all.stalled_for(), Duration::ZERO);
        let (stalled, lively) = (all.watch(), all.watch());
        std::thread::sleep(Duration::from_millis(30));
        lively.beat();
        assert!(all.stalled_for() >= Duration::from_millis(29));
        drop(stalled);
        assert!(all.stalled_for() < Duration::from_millis(20));
    }
}
