//! Quotas by GCRA: one script and one round trip in Redis, and a share of the quota in this process
//! when Redis gives no answer.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool_redis::redis::Script;
use governor::{
    Quota as LocalQuota, RateLimiter as Governor,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};

use super::Redis;
use crate::{config, context::RequestContext};

/// The generic cell rate algorithm on the server's clock: the key holds the theoretical arrival time.
const GCRA: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local earliest = arrival + interval - interval * burst
if earliest > now then return {0, 0, earliest - now, arrival - now} end
redis.call('SET', KEYS[1], string.format('%.0f', arrival + interval), 'PX', math.ceil((arrival + interval - now) / 1000))
return {1, math.floor((now - earliest) / interval), 0, arrival + interval - now}";

/// The local counters are swept of callers at rest this often.
const SWEEP_EVERY_SECONDS: u64 = 1;

type Local = Governor<String, DefaultKeyedStateStore<String>, DefaultClock, StateInformationMiddleware>;

/// The state of a caller's quota, told in `RateLimit` and `RateLimit-Policy`
/// (draft-ietf-httpapi-ratelimit-headers).
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Requests allowed at once.
    pub burst: u32,
    /// Time in which the whole burst is earned back.
    pub window: Duration,
    /// Requests left right now.
    pub remaining: u32,
    /// Time until all are back.
    pub reset: Duration,
    /// Time to wait where the request exceeds the quota.
    pub wait: Option<Duration>,
}

/// Limits each caller to `per_second` on average and `burst` at once.
#[derive(Debug)]
pub struct RateLimiter {
    redis: Redis,
    script: Arc<Script>,
    prefix: String,
    per_second: u32,
    burst: u32,
    fallback: LocalLimiter,
    anonymous: LocalLimiter,
}

impl RateLimiter {
    /// A limiter with the quotas of the configuration.
    pub fn new(settings: &config::Settings, redis: Redis) -> Self {
        let limits = &settings.rate_limit;
        let share = |value: u32| ((value as f32 * limits.local_share) as u32).max(1);
        Self {
            redis,
            script: Arc::new(Script::new(GCRA)),
            prefix: format!("{}:quota:", settings.service.name),
            per_second: limits.per_second,
            burst: limits.burst,
            fallback: LocalLimiter::new(share(limits.per_second), share(limits.burst)),
            anonymous: LocalLimiter::new(limits.anonymous_per_second, limits.anonymous_burst),
        }
    }

    /// Charges one request to a subject, given by its hash.
    pub async fn charge_subject(&self, context: &RequestContext, subject: &str) -> Quota {
        let (script, key) = (self.script.clone(), format!("{}{subject}", self.prefix));
        let (interval, burst) = (1_000_000 / u64::from(self.per_second), self.burst);
        let answer: Option<(u32, u32, u64, u64)> = self
            .redis
            .call(context, "EVALSHA", move |mut connection| async move {
                script
                    .key(key)
                    .arg(interval)
                    .arg(burst)
                    .invoke_async(&mut *connection)
                    .await
            })
            .await;
        let Some((allowed, remaining, wait, reset)) = answer else {
            return self.fallback.charge(subject.to_owned());
        };
        Quota {
            burst,
            window: window(self.per_second, burst),
            remaining,
            reset: Duration::from_micros(reset),
            wait: (allowed == 0).then(|| Duration::from_micros(wait)),
        }
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
