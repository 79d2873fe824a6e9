//! The sections `redis` and `cache`.

use std::time::Duration;

use deadpool_redis::redis::IntoConnectionInfo;
use settings::{Errors, ExposeSecret, SecretString};

const MILLISECOND: Duration = Duration::from_millis(1);

/// Redis. Nothing is lost when it is.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = RedisSettings::check)]
pub struct RedisSettings {
    /// `redis://host:port`, or `rediss://host:port` with TLS.
    pub url: SecretString,
    /// Connections.
    #[setting(default = 8, min = 1)]
    pub pool_size: usize,
    /// What Redis may cost one request in all.
    #[setting(default = Duration::from_millis(100), min = MILLISECOND)]
    pub timeout: Duration,
    /// Failures in a row after which it is skipped.
    #[setting(default = 5, min = 1)]
    pub breaker_failures: usize,
    /// Time for which it is skipped before one call probes it.
    #[setting(default = Duration::from_secs(5), min = MILLISECOND)]
    pub breaker_open: Duration,
}

impl RedisSettings {
    const EXAMPLE: &str = "redis://localhost:6379";

    /// Whether it is set at all is for [`require`](Self::require): a service may have no Redis.
    fn check(&self, errors: &mut Errors) {
        let url = self.url.expose_secret();
        if url.is_empty() {
            return;
        }
        if !["redis://", "rediss://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            errors.add("url", format!("is not an address of the form {}", Self::EXAMPLE));
        } else if url.into_connection_info().is_err() {
            errors.add(
                "url",
                format!("cannot be read as an address; compare with {}", Self::EXAMPLE),
            );
        }
    }

    /// The rule of a service that has Redis: its address must be set.
    pub fn require(&self, errors: &mut Errors) {
        if self.url.expose_secret().is_empty() {
            let example = Self::EXAMPLE;
            errors.add(
                "redis.url",
                format!("is not set; set APP__REDIS__URL, for example to {example}"),
            );
        }
    }
}

/// The read cache.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = CacheSettings::check)]
pub struct CacheSettings {
    /// Age up to which an entry is served without asking the database.
    #[setting(default = Duration::from_secs(30))]
    pub fresh: Duration,
    /// Age up to which an entry is served when the database cannot answer, with an `Age` header.
    #[setting(default = Duration::from_secs(5 * 60), min = MILLISECOND)]
    pub stale: Duration,
    /// How long the last answer of another service is kept, to stand in for one that it cannot give.
    #[setting(default = Duration::from_secs(24 * 60 * 60), min = MILLISECOND)]
    pub last_known: Duration,
    /// Cache misses that may ask the database at once; a part of `database.pool_size`, so that writes have room.
    #[setting(default = 8, min = 1)]
    pub max_loads: usize,
}

impl CacheSettings {
    fn check(&self, errors: &mut Errors) {
        errors.outlasts(
            "stale",
            (self.stale, self.stale >= self.fresh),
            ("`cache.fresh`", self.fresh),
        );
    }
}
