//! Quotas: shared by all replicas where there is Redis, else of this process alone.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use governor::{
    Quota as LocalQuota, RateLimiter as Governor,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};
use runtime::{Quota, RequestContext};

use crate::RateLimitSettings;

/// The local counters are swept of callers at rest this often.
const SWEEP_EVERY_SECONDS: u64 = 1;

type Local = Governor<String, DefaultKeyedStateStore<String>, DefaultClock, StateInformationMiddleware>;

/// Limits each caller to `per_second` on average and `burst` at the same time.
#[derive(Debug)]
pub struct RateLimiter {
    #[cfg(feature = "cache")]
    shared: Option<cache::SharedQuota>,
    local: LocalLimiter,
    anonymous: LocalLimiter,
}

impl RateLimiter {
    /// A limiter with the quotas of the configuration, counted in this process.
    pub fn new(settings: &RateLimitSettings) -> Self {
        let share = |value: u32| ((value as f32 * settings.local_share) as u32).max(1);
        Self {
            #[cfg(feature = "cache")]
            shared: None,
            local: LocalLimiter::new(share(settings.per_second), share(settings.burst)),
            anonymous: LocalLimiter::new(settings.anonymous_per_second, settings.anonymous_burst),
        }
    }

    /// Counts in Redis instead, for as long as it answers.
    #[cfg(feature = "cache")]
    pub fn shared(mut self, quota: cache::SharedQuota) -> Self {
        self.shared = Some(quota);
        self
    }

    /// Charges one request to a subject, given by its hash.
    pub async fn charge_subject(&self, context: &RequestContext, subject: &str) -> Quota {
        #[cfg(feature = "cache")]
        if let Some(shared) = &self.shared
            && let Some(quota) = shared.charge(context, subject).await
        {
            return quota;
        }
        let _ = context;
        self.local.charge(subject.to_owned())
    }

    /// Charges one request without a valid token to its address, in this process alone.
    pub fn charge_address(&self, address: &str) -> Quota {
        self.anonymous.charge(address.to_owned())
    }
}

fn window(per_second: u32, burst: u32) -> Duration {
    Duration::from_secs_f64(f64::from(burst) / f64::from(per_second))
}

/// Quotas in this process.
#[derive(Debug)]
struct LocalLimiter {
    governor: Local,
    started: Instant,
    swept: AtomicU64,
    per_second: u32,
    burst: u32,
}

impl LocalLimiter {
    fn new(per_second: u32, burst: u32) -> Self {
        let at_least_one = |value| NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN);
        let quota = LocalQuota::per_second(at_least_one(per_second)).allow_burst(at_least_one(burst));
        let governor = Governor::keyed(quota).with_middleware::<StateInformationMiddleware>();
        Self {
            governor,
            started: Instant::now(),
            swept: AtomicU64::new(0),
            per_second,
            burst,
        }
    }

    /// Forgets callers whose whole quota is back; one request in a second pays for it.
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

    fn charge(&self, key: String) -> Quota {
        self.sweep();
        let (remaining, wait) = match self.governor.check_key(&key) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(not_until) => (0, Some(not_until.wait_time_from(DefaultClock::default().now()))),
        };
        let missing = self.burst.saturating_sub(remaining);
        let reset = Duration::from_secs_f64(f64::from(missing) / f64::from(self.per_second));
        Quota {
            burst: self.burst,
            window: window(self.per_second, self.burst),
            remaining,
            reset,
            wait,
        }
    }
}
