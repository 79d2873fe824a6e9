//! Quotas shared by all replicas: one script and one round trip to Redis.

use std::{sync::Arc, time::Duration};

use deadpool_redis::redis::Script;
use resilience::Quota;
use runtime::RequestContext;

use super::Redis;

/// The generic cell rate algorithm (GCRA) on Redis's clock: the key holds the theoretical arrival time in microseconds.
const GCRA: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local earliest = arrival + interval - interval * burst
if earliest > now then return {0, 0, earliest - now, arrival - now} end
redis.call('SET', KEYS[1], string.format('%.0f', arrival + interval), 'PX', math.ceil((arrival + interval - now) / 1000))
return {1, math.floor((now - earliest) / interval), 0, arrival + interval - now}";

/// Limits each caller to `per_second` requests on average and `burst` at the same time, across all replicas.
#[derive(Debug)]
pub struct SharedQuota {
    redis: Redis,
    script: Arc<Script>,
    prefix: String,
    per_second: u32,
    burst: u32,
}

impl SharedQuota {
    /// Quotas whose Redis keys begin with the service's name.
    pub fn new(service: &str, per_second: u32, burst: u32, redis: Redis) -> Self {
        Self {
            redis,
            script: Arc::new(Script::new(GCRA)),
            prefix: format!("{service}:quota:"),
            per_second,
            burst,
        }
    }

    /// Charges one request to a subject, given by its hash; `None` if Redis is unavailable.
    pub async fn charge(&self, context: &RequestContext, subject: &str) -> Option<Quota> {
        let (script, key) = (self.script.clone(), format!("{}{subject}", self.prefix));
        let (interval, burst) = (1_000_000 / u64::from(self.per_second), self.burst);
        let charged: Option<(u32, u32, u64, u64)> = self
            .redis
            .call(context, "EVALSHA", move |mut connection| async move {
                script
                    .key(key)
                    .arg(interval)
                    .arg(burst)
                    .invoke_async(&mut connection.connection)
                    .await
            })
            .await;
        let (allowed, remaining, wait, reset) = charged?;
        Some(Quota {
            burst,
            window: Duration::from_secs_f64(f64::from(burst) / f64::from(self.per_second)),
            remaining,
            reset: Duration::from_micros(reset),
            wait: (allowed == 0).then(|| Duration::from_micros(wait)),
        })
    }
}
