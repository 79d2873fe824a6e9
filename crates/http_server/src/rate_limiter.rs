//! Quotas: shared by all replicas through Redis, or counted in this process.

use resilience::{Quota, RateLimit};
use runtime::RequestContext;

use crate::RateLimitSettings;

/// Limits each subject, or each address without a valid token, to an average rate with bursts.
#[derive(Debug)]
pub struct RateLimiter {
    #[cfg(feature = "cache")]
    shared: Option<cache::SharedQuota>,
    local: RateLimit,
    anonymous: RateLimit,
}

impl RateLimiter {
    /// A limiter with the configured quotas, counted in this process.
    pub fn new(settings: &RateLimitSettings) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a fraction of a u32 is a u32"
        )]
        let share = |value: u32| ((f64::from(value) * f64::from(settings.fallback_ratio)) as u32).max(1);
        Self {
            #[cfg(feature = "cache")]
            shared: None,
            local: RateLimit::new(share(settings.per_second), share(settings.burst)),
            anonymous: RateLimit::new(settings.anonymous_per_second, settings.anonymous_burst),
        }
    }

    /// Counts subjects in Redis instead, as long as Redis is available.
    #[cfg(feature = "cache")]
    pub fn shared(mut self, quota: cache::SharedQuota) -> Self {
        self.shared = Some(quota);
        self
    }

    /// Charges one request to a subject, identified by its hash.
    #[cfg_attr(
        not(feature = "cache"),
        expect(clippy::unused_async, reason = "only the shared quota waits")
    )]
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

    /// Charges one request without a valid token to its address, counted in this process.
    pub fn charge_address(&self, address: &str) -> Quota {
        self.anonymous.charge(address.to_owned())
    }
}
