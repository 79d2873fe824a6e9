//! The settings that every service has.

use database::IdempotencySettings;
use http_server::{FaultSettings, RateLimitSettings};
use management::ReadinessSettings;
use runtime::{RetrySettings, ServiceSettings, ShutdownSettings};
use telemetry::LogSettings;

use crate::rules;

/// The settings that every service has. A service adds its own sections beside them.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = rules::check)]
pub struct Settings {
    /// The service itself.
    #[setting(section)]
    pub service: ServiceSettings,
    /// The public and the management server.
    #[setting(section)]
    pub http: http_server::Settings,
    /// Postgres.
    #[setting(section)]
    pub database: database::Settings,
    /// Retries.
    #[setting(section)]
    pub retry: RetrySettings,
    /// Redis.
    #[cfg(feature = "cache")]
    #[setting(section)]
    pub redis: cache::RedisSettings,
    /// Background jobs.
    #[cfg(feature = "jobs")]
    #[setting(section)]
    pub jobs: jobs::Settings,
    /// The read cache.
    #[cfg(feature = "cache")]
    #[setting(section)]
    pub cache: cache::CacheSettings,
    /// Request quotas.
    #[setting(section)]
    pub rate_limit: RateLimitSettings,
    /// Idempotency keys.
    #[setting(section)]
    pub idempotency: IdempotencySettings,
    /// Bearer tokens.
    #[setting(section)]
    pub auth: auth::Settings,
    /// The dependencies that readiness requires.
    #[setting(section)]
    pub readiness: ReadinessSettings,
    /// Graceful shutdown.
    #[setting(section)]
    pub shutdown: ShutdownSettings,
    /// Logs.
    #[setting(section)]
    pub log: LogSettings,
    /// Traces.
    #[setting(section)]
    pub telemetry: telemetry::Settings,
    /// Fault injection.
    #[setting(section)]
    pub faults: FaultSettings,
}

/// For a service without its own sections.
impl AsRef<Self> for Settings {
    fn as_ref(&self) -> &Self {
        self
    }
}
