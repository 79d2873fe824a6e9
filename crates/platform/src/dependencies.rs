//! The dependencies that the management port reports.

use std::time::Duration;

use database::Database;
use futures_util::FutureExt;
use management::Dependency;
use upstream::Upstream;

/// Timeout for one check of a dependency: below the default timeout of Kubernetes probes, one second.
const CHECK_TIMEOUT: Duration = Duration::from_millis(800);

pub(crate) fn postgres(checks: &Database) -> Dependency {
    let checks = checks.clone();
    let ping = move || {
        let checks = checks.clone();
        async move { checks.ping(CHECK_TIMEOUT).await.is_ok() }.boxed()
    };
    Dependency {
        name: "postgres",
        required: true,
        ping: Some(Box::new(ping)),
        breaker: None,
    }
}

#[cfg(feature = "cache")]
pub(crate) fn redis(redis: &cache::Redis) -> Dependency {
    let (pinged, redis) = (redis.clone(), redis.clone());
    let ping = move || {
        let redis = pinged.clone();
        async move { redis.ping().await }.boxed()
    };
    Dependency {
        name: "redis",
        required: false,
        ping: Some(Box::new(ping)),
        breaker: Some(Box::new(move || redis.breaker())),
    }
}

/// Other services are not called; the state of their circuit breakers reflects the latest calls.
pub(crate) fn upstream(upstream: &Upstream) -> Dependency {
    let (name, upstream) = (upstream.name(), upstream.clone());
    Dependency {
        name,
        required: false,
        ping: None,
        breaker: Some(Box::new(move || upstream.breaker())),
    }
}
