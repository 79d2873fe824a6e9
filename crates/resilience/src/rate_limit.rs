//! A rate limit per key: the generic cell rate algorithm (GCRA).

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use governor::{
    RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};

/// The interval at which idle keys are removed.
const SWEEP_EVERY_SECONDS: u64 = 1;

type Keyed = RateLimiter<String, DefaultKeyedStateStore<String>, DefaultClock, StateInformationMiddleware>;

/// The state of a caller's quota, sent in the headers `RateLimit` and `RateLimit-Policy`
/// (draft-ietf-httpapi-ratelimit-headers).
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// The number of requests allowed in one burst.
    pub burst: u32,
    /// The time in which an exhausted burst is replenished.
    pub window: Duration,
    /// The number of requests left.
    pub remaining: u32,
    /// The time until the whole burst is available again.
    pub reset: Duration,
    /// The time to wait, if the request exceeds the quota.
    pub wait: Option<Duration>,
}

/// A rate limit for each key, counted in this process.
#[derive(Debug)]
pub struct RateLimit {
    governor: Keyed,
    started: Instant,
    swept: AtomicU64,
    per_second: u32,
    burst: u32,
}

impl RateLimit {
    /// A limit of `per_second` requests on average and `burst` in one burst; zero counts as 1.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let at_least_one = |value| NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN);
        let (per_second, burst) = (at_least_one(per_second), at_least_one(burst));
        let quota = governor::Quota::per_second(per_second).allow_burst(burst);
        let governor = RateLimiter::keyed(quota).with_middleware::<StateInformationMiddleware>();
        Self {
            governor,
            started: Instant::now(),
            swept: AtomicU64::new(0),
            per_second: per_second.get(),
            burst: burst.get(),
        }
    }

    /// Removes the keys whose whole burst is available again; at most one call per second does it.
    fn sweep(&self) {
        let now = self.started.elapsed().as_secs();
        let last = self.swept.load(Ordering::Relaxed);
        let due = now >= last + SWEEP_EVERY_SECONDS;
        if due
            && self
                .swept
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.governor.retain_recent();
        }
    }

    /// Charges one request to `key`.
    pub fn charge(&self, key: String) -> Quota {
        self.sweep();
        let (remaining, wait) = match self.governor.check_key(&key) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(not_until) => (0, Some(not_until.wait_time_from(DefaultClock::default().now()))),
        };
        let missing = self.burst.saturating_sub(remaining);
        let reset = Duration::from_secs_f64(f64::from(missing) / f64::from(self.per_second));
        Quota {
            burst: self.burst,
            window: Duration::from_secs_f64(f64::from(self.burst) / f64::from(self.per_second)),
            remaining,
            reset,
            wait,
        }
    }
}
