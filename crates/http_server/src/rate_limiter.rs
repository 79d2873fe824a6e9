//! Quotas: shared by all replicas where there is Redis, else of this process alone.

use resilience::{Quota, RateLimit};
use runtime::RequestContext;

use crate::RateLimitSettings;

/// Limits each caller to `per_second` on average and `burst` at the same time.
#[derive(Debug)]
pub struct RateLimiter {
    #[cfg(feature = "cache")]
    shared: Option<cache::SharedQuota>,
    local: RateLimit,
    anonymous: RateLimit,
}

impl RateLimiter {
    /// A limiter with the quotas of the configuration, counted in this process.
    pub fn new(settings: &RateLimitSettings) -> Self {
        let share = |value: u32| ((value as f32 * settings.local_share) as u32).max(1);
        Self {
            #[cfg(feature = "cache")]
            shared: None,
            local: RateLimit::new(share(settings.per_second), share(settings.burst)),
            anonymous: RateLimit::new(settings.anonymous_per_second, settings.anonymous_burst),
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
