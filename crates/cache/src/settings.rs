//! The sections `redis` and `cache`.

use std::time::Duration;

use anyhow::Context as _;
use deadpool_redis::redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use runtime::{Tls, TlsSettings};
use settings::{Errors, ExposeSecret, SecretString};

const MILLISECOND: Duration = Duration::from_millis(1);

/// The Redis client. Requests continue without Redis when it is unavailable.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = RedisSettings::check)]
pub struct RedisSettings {
    /// Address of Redis: `redis://host:port`.
    pub url: SecretString,
    /// The keys `tls` and `root_certificate`.
    #[setting(flatten)]
    pub encryption: TlsSettings,
    /// Maximum connections to Redis per process.
    #[setting(default = 8, min = 1)]
    pub pool_size: usize,
    /// Maximum total time that one request spends on Redis. After that, the request continues without Redis.
    #[setting(default = Duration::from_millis(100), min = MILLISECOND)]
    pub timeout: Duration,
    /// Maximum time to open a connection. A request does not wait for it longer than `redis.timeout`; the connection then
    /// serves a later request.
    #[setting(default = Duration::from_secs(2), min = MILLISECOND)]
    pub connect_timeout: Duration,
    /// Consecutive failed calls after which the circuit breaker opens. While it is open, Redis is not called.
    #[setting(default = 5, min = 1)]
    pub breaker_failure_threshold: usize,
    /// Time, ±20 %, for which the circuit breaker stays open before one call probes Redis.
    #[setting(default = Duration::from_secs(5), min = MILLISECOND)]
    pub breaker_open_duration: Duration,
}

impl RedisSettings {
    const EXAMPLE: &str = "redis://localhost:6379";

    /// Checks the address if it is set. Only [`require`](Self::require) insists on one: a service may have no Redis.
    fn check(&self, errors: &mut Errors) {
        let url = self.url.expose_secret();
        if url.is_empty() {
            return;
        }
        if !["redis://", "rediss://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            errors.add("url", format!("must have the form {}", Self::EXAMPLE));
        } else if url.starts_with("rediss://") && self.encryption.tls == Tls::Off {
            errors.add("url", "asks for TLS, but `redis.tls` is `off`");
        } else if url.contains('#') {
            errors.add("url", "must not have a fragment; set `redis.tls` instead");
        } else if url.into_connection_info().is_err() {
            errors.add(
                "url",
                format!(
                    "cannot be parsed as an address; expected the form {}",
                    Self::EXAMPLE
                ),
            );
        }
    }

    /// The address, with the encryption of these settings.
    ///
    /// # Errors
    /// When the address cannot be parsed, or the file of `redis.root_certificate` cannot be read.
    pub(crate) fn address(&self) -> anyhow::Result<ConnectionInfo> {
        // The library's message would repeat the address, including the password.
        let address = self.url.expose_secret().into_connection_info();
        let address = address.map_err(|_| anyhow::anyhow!("redis.url is not a valid Redis address"))?;
        let (ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }) =
            address.addr().clone()
        else {
            anyhow::bail!("redis.url is not the address of a host");
        };
        if self.encryption.tls == Tls::Off {
            return Ok(address);
        }
        let address = address.set_addr(ConnectionAddr::TcpTls {
            host,
            port,
            insecure: self.encryption.tls == Tls::Require,
            tls_params: None,
        });
        let root_cert = self.encryption.root_certificate.as_ref().map(std::fs::read);
        let certificates = TlsCertificates {
            client_tls: None,
            root_cert: root_cert
                .transpose()
                .context("redis.root_certificate cannot be read")?,
        };
        let client = Client::build_with_tls(address, certificates);
        let client = client.context("redis.root_certificate is not valid")?;
        Ok(client.get_connection_info().clone())
    }

    /// Requires an address, for a service that uses Redis.
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

/// The read cache and the fallback cache.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = CacheSettings::check)]
pub struct CacheSettings {
    /// Age up to which a cached value is served without querying the database.
    #[setting(default = Duration::from_secs(30))]
    pub fresh_ttl: Duration,
    /// Age up to which a cached value is served, with an `Age` header, when the database is unavailable or too slow.
    /// Must not be less than `cache.fresh_ttl`.
    #[setting(default = Duration::from_mins(5), min = MILLISECOND)]
    pub max_stale: Duration,
    /// Time for which the last response of an upstream service is kept, to be served when that service is unavailable.
    #[setting(default = Duration::from_hours(24), min = MILLISECOND)]
    pub fallback_ttl: Duration,
    /// Maximum concurrent database reads for misses of one cache. Further misses wait for up to half of
    /// `database.acquire_timeout`, then a stale value is served or the request fails with 503 `overloaded`. Keep it
    /// below `database.pool_size`, so that writes find free connections.
    #[setting(default = 8, min = 1)]
    pub max_concurrent_loads: usize,
}

impl CacheSettings {
    fn check(&self, errors: &mut Errors) {
        errors.outlasts(
            "max_stale",
            (self.max_stale, self.max_stale >= self.fresh_ttl),
            ("`cache.fresh_ttl`", self.fresh_ttl),
        );
    }
}
