//! A sliding window of calls and failures, in buckets: counting costs the same however many calls the window holds.

use std::time::Duration;

use tokio::time::Instant;

/// The number of buckets; those of a 30 s window are one second wide.
const BUCKETS: u32 = 30;

/// The number of calls, and how many of them failed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WindowCounts {
    pub(crate) calls: usize,
    pub(crate) failures: usize,
}

impl WindowCounts {
    /// The fraction of calls that failed, 0.0 to 1.0.
    pub(crate) fn failure_rate(&self) -> f32 {
        self.failures as f32 / self.calls as f32
    }
}

/// Counts over a period, accurate to one bucket.
#[derive(Debug)]
pub(crate) struct Window {
    buckets: Box<[WindowCounts]>,
    width: Duration,
    began: Instant,
    /// The number of the newest bucket, counted from `began`.
    newest: u128,
    total: WindowCounts,
}

impl Window {
    pub(crate) fn new(length: Duration) -> Self {
        Self {
            buckets: vec![WindowCounts::default(); BUCKETS as usize].into(),
            // A zero width would cause a division by zero.
            width: (length / BUCKETS).max(Duration::from_nanos(1)),
            began: Instant::now(),
            newest: 0,
            total: WindowCounts::default(),
        }
    }

    /// Counts a call that ended at `now`; returns the counts of the whole window.
    pub(crate) fn count(&mut self, failed: bool, now: Instant) -> WindowCounts {
        let number = now.duration_since(self.began).as_nanos() / self.width.as_nanos();
        // Each bucket is cleared at most once, however long ago the last call was.
        for passed in 1..=(number.saturating_sub(self.newest)).min(u128::from(BUCKETS)) {
            let bucket = &mut self.buckets[((self.newest + passed) % u128::from(BUCKETS)) as usize];
            self.total.calls -= bucket.calls;
            self.total.failures -= bucket.failures;
            *bucket = WindowCounts::default();
        }
        self.newest = self.newest.max(number);
        let bucket = &mut self.buckets[(self.newest % u128::from(BUCKETS)) as usize];
        for counted in [bucket, &mut self.total] {
            counted.calls += 1;
            counted.failures += usize::from(failed);
        }
        self.total
    }

    pub(crate) fn clear(&mut self) {
        self.buckets.fill(WindowCounts::default());
        self.total = WindowCounts::default();
    }
}
