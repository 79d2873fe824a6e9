//! A sliding window of calls and failures, in buckets: a count costs the same however many calls there were.

use std::time::Duration;

use tokio::time::Instant;

/// With 30 of them a window of 30 s has buckets of a second.
const BUCKETS: usize = 30;

/// Calls, and those among them that failed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) calls: usize,
    pub(crate) failures: usize,
}

impl Counted {
    /// The share of failures.
    pub(crate) fn share(&self) -> f32 {
        (self.failures as f64 / self.calls as f64) as f32
    }
}

/// Counts over a window of time, give or take a bucket.
#[derive(Debug)]
pub(crate) struct Window {
    buckets: Box<[Counted]>,
    width: Duration,
    began: Instant,
    /// The number of the newest bucket since it began.
    newest: u128,
    all: Counted,
}

impl Window {
    pub(crate) fn new(length: Duration) -> Self {
        Self {
            buckets: vec![Counted::default(); BUCKETS].into(),
            // A window of nothing would divide by nothing.
            width: (length / BUCKETS as u32).max(Duration::from_nanos(1)),
            began: Instant::now(),
            newest: 0,
            all: Counted::default(),
        }
    }

    /// Counts a call that ended now; returns what the window holds.
    pub(crate) fn count(&mut self, failed: bool, now: Instant) -> Counted {
        let number = now.duration_since(self.began).as_nanos() / self.width.as_nanos();
        // Each bucket is emptied at most once, however long nothing was counted.
        for passed in 1..=(number.saturating_sub(self.newest)).min(BUCKETS as u128) {
            let bucket = &mut self.buckets[((self.newest + passed) % BUCKETS as u128) as usize];
            self.all.calls -= bucket.calls;
            self.all.failures -= bucket.failures;
            *bucket = Counted::default();
        }
        self.newest = self.newest.max(number);
        let bucket = &mut self.buckets[(self.newest % BUCKETS as u128) as usize];
        for counted in [bucket, &mut self.all] {
            counted.calls += 1;
            counted.failures += usize::from(failed);
        }
        self.all
    }

    pub(crate) fn clear(&mut self) {
        self.buckets.fill(Counted::default());
        self.all = Counted::default();
    }
}
