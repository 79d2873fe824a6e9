//! What the management port shows of what the service needs.

use std::time::Duration;

use database::Database;
use futures_util::FutureExt;
use management::Dependency;
use upstream::Upstream;

/// A probe's patience with a dependency; probes themselves time out after a second by default.
const CHECK_LIMIT: Duration = Duration::from_millis(800);

pub(crate) fn postgres(checks: &Database) -> Dependency {
    let checks = checks.clone();
    let ping = move || {
        let checks = checks.clone();
        async move { checks.ping(CHECK_LIMIT).await.is_ok() }.boxed()
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

/// Other services are not asked: their breakers tell what the calls found.
pub(crate) fn upstream(upstream: &Upstream) -> Dependency {
    let (name, upstream) = (upstream.name(), upstream.clone());
    Dependency {
        name,
        required: false,
        ping: None,
        breaker: Some(Box::new(move || upstream.breaker())),
    }
}
