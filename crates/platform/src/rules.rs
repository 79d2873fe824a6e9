//! Rules between values: secrets, and timeouts that must line up.

use std::time::Duration;

use deadpool_redis::redis::IntoConnectionInfo;
use humantime::format_duration;
use resilience::RetryPolicy;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;
use tracing_subscriber::EnvFilter;

use super::{Algorithm, ConfigFault, DEVELOPMENT_SECRET, Environment, Settings};

/// Every rule that these settings break.
pub(super) fn broken(settings: &Settings) -> Vec<ConfigFault> {
    let mut faults = Vec::new();
    service_name(settings, &mut faults);
    urls(settings, &mut faults);
    keys(settings, &mut faults);
    positive(settings, &mut faults);
    time_limits(settings, &mut faults);
    log_filter(settings, &mut faults);
    drills(settings, &mut faults);
    line_up(settings, &mut faults);
    faults
}

fn service_name(settings: &Settings, faults: &mut Vec<ConfigFault>) {
    let name = &settings.service.name;
    let valid = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.len() <= 63
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if !valid {
        faults.push(ConfigFault::new(
            "service.name",
            "use up to 63 of a-z, 0-9, - and _, a letter first",
        ));
    }
}

fn urls(settings: &Settings, faults: &mut Vec<ConfigFault>) {
    let name = settings.service.name.replace('-', "_");
    let mut url =
        |key: &str, url: &SecretString, schemes: &[&str], parses: fn(&str) -> bool, example: String| {
            let (url, variable) = (
                url.expose_secret(),
                format!("APP__{}", key.replace('.', "__").to_uppercase()),
            );
            let message = if url.is_empty() {
                format!("is not set; set {variable}, for example to {example}")
            } else if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
                format!("is not an address of the form {example}")
            } else if !parses(url) {
                format!("cannot be read as an address; compare with {example}")
            } else {
                return;
            };
            faults.push(ConfigFault::new(key, message));
        };
    url(
        "database.url",
        &settings.database.url,
        &["postgres://", "postgresql://"],
        |url| url.parse::<PgConnectOptions>().is_ok(),
        format!("postgres://user:password@localhost:5432/{name}"),
    );
    url(
        "redis.url",
        &settings.redis.url,
        &["redis://", "rediss://"],
        |url| url.into_connection_info().is_ok(),
        "redis://localhost:6379".into(),
    );
}

fn keys(settings: &Settings, faults: &mut Vec<ConfigFault>) {
    let auth = &settings.auth;
    if auth.algorithm == Algorithm::Hs256 {
        let secret = auth.secret.expose_secret();
        if secret.len() < 32 {
            faults.push(ConfigFault::new(
                "auth.secret",
                "needs at least 32 bytes; make one with `openssl rand -base64 32`",
            ));
        } else if secret == DEVELOPMENT_SECRET && settings.service.environment != Environment::Development {
            faults.push(ConfigFault::new(
                "auth.secret",
                "is the public development secret; set APP__AUTH__SECRET to one of your own (`openssl rand -base64 32`)",
            ));
        }
    } else if let Err(expected) = crate::http::auth::decoding_key(auth) {
        faults.push(ConfigFault::new("auth.public_key", expected));
    }
}

fn positive(settings: &Settings, faults: &mut Vec<ConfigFault>) {
    let numbers = [
        ("http.max_in_flight", settings.http.max_in_flight),
        ("http.max_connections", settings.http.max_connections),
        ("http.max_body_bytes", settings.http.max_body_bytes),
        ("http.max_head_bytes", settings.http.max_head_bytes),
        ("database.pool_size", settings.database.pool_size),
        ("redis.pool_size", settings.redis.pool_size),
        ("redis.breaker_failures", settings.redis.breaker_failures),
        ("upstream.bulkhead", settings.upstream.bulkhead),
        (
            "upstream.max_response_bytes",
            settings.upstream.max_response_bytes,
        ),
        ("upstream.breaker_calls", settings.upstream.breaker_calls),
        ("jobs.concurrency", settings.jobs.concurrency),
        ("jobs.pool_size", settings.jobs.pool_size),
        ("jobs.queue_limit", settings.jobs.queue_limit),
        ("cache.max_loads", settings.cache.max_loads),
        ("telemetry.queue", settings.telemetry.queue),
        ("retry.attempts", settings.retry.attempts as usize),
        ("rate_limit.per_second", settings.rate_limit.per_second as usize),
        ("rate_limit.burst", settings.rate_limit.burst as usize),
        (
            "rate_limit.anonymous_per_second",
            settings.rate_limit.anonymous_per_second as usize,
        ),
        (
            "rate_limit.anonymous_burst",
            settings.rate_limit.anonymous_burst as usize,
        ),
    ];
    faults.extend(
        numbers
            .iter()
            .filter(|(_, value)| *value == 0)
            .map(|(key, _)| ConfigFault::new(*key, "must be at least 1")),
    );
    if settings.retry.attempts > 10 {
        faults.push(ConfigFault::new("retry.attempts", "must be at most 10"));
    }
    let shares = [
        ("rate_limit.local_share", settings.rate_limit.local_share),
        ("retry.budget", settings.retry.budget),
        ("upstream.breaker_share", settings.upstream.breaker_share),
    ];
    for (key, share) in shares {
        if !(share > 0.0 && share <= 1.0) {
            faults.push(ConfigFault::new(key, "must be above 0 and at most 1"));
        }
    }
    if !(0.0..=1.0).contains(&settings.telemetry.sample_ratio) {
        faults.push(ConfigFault::new("telemetry.sample_ratio", "must be from 0 to 1"));
    }
}

/// Those that the server enforces: a number of milliseconds that fits into 32 bits.
const POSTGRES_LIMITS: [&str; 4] = [
    "database.statement_timeout",
    "database.lock_timeout",
    "database.idle_in_transaction_timeout",
    "jobs.statement_timeout",
];

/// Limits of no time at all would refuse everything, or, in Postgres, switch the limit off; too long ones it refuses.
fn time_limits(settings: &Settings, faults: &mut Vec<ConfigFault>) {
    let (http, database, redis, retry) = (
        &settings.http,
        &settings.database,
        &settings.redis,
        &settings.retry,
    );
    let limits = [
        ("http.deadline", http.deadline),
        ("http.min_deadline", http.min_deadline),
        ("http.keep_alive", http.keep_alive),
        ("http.body_timeout", http.body_timeout),
        ("database.acquire_timeout", database.acquire_timeout),
        ("database.statement_timeout", database.statement_timeout),
        ("database.lock_timeout", database.lock_timeout),
        (
            "database.idle_in_transaction_timeout",
            database.idle_in_transaction_timeout,
        ),
        ("retry.first_backoff", retry.first_backoff),
        ("redis.timeout", redis.timeout),
        ("redis.breaker_open", redis.breaker_open),
        ("cache.stale", settings.cache.stale),
        ("cache.last_known", settings.cache.last_known),
        ("jobs.statement_timeout", settings.jobs.statement_timeout),
        ("upstream.attempt_timeout", settings.upstream.attempt_timeout),
        ("upstream.breaker_window", settings.upstream.breaker_window),
        ("upstream.breaker_open", settings.upstream.breaker_open),
        ("idempotency.retention", settings.idempotency.retention),
        ("shutdown.drain", settings.shutdown.drain),
        ("telemetry.export_timeout", settings.telemetry.export_timeout),
    ];
    let instant = limits
        .iter()
        .filter(|(_, limit)| *limit < Duration::from_millis(1));
    faults.extend(instant.map(|(key, _)| ConfigFault::new(*key, "must be at least 1ms")));
    let longest = Duration::from_millis(i32::MAX as u64);
    let of_postgres = limits.iter().filter(|(key, _)| POSTGRES_LIMITS.contains(key));
    let too_long = of_postgres.filter(|(_, limit)| *limit > longest);
    faults.extend(
        too_long.map(|(key, _)| ConfigFault::new(*key, "must be at most 24days, as Postgres has it")),
    );
}

fn drills(settings: &Settings, faults: &mut Vec<ConfigFault>) {
    if settings.faults.enabled && settings.service.environment == Environment::Production {
        faults.push(ConfigFault::new(
            "faults.enabled",
            "is for drills; production refuses it",
        ));
    }
    if settings.faults.start.is_some() && !settings.faults.enabled {
        faults.push(ConfigFault::new("faults.start", "needs faults.enabled"));
    }
}

fn log_filter(settings: &Settings, faults: &mut Vec<ConfigFault>) {
    if EnvFilter::try_new(&settings.log.filter).is_err() {
        faults.push(ConfigFault::new(
            "log.filter",
            "expected levels such as `info` or `info,api=debug`",
        ));
    }
}

/// The outer layer must outlast the inner one, or the inner one's answer is never seen:
/// client > ingress > largest deadline ≥ deadline ≥ attempts × (acquire + statement) + backoff.
fn line_up(settings: &Settings, faults: &mut Vec<ConfigFault>) {
    let (http, database, retry, shutdown) = (
        &settings.http,
        &settings.database,
        &settings.retry,
        &settings.shutdown,
    );
    let attempts = (database.acquire_timeout + database.statement_timeout) * retry.attempts.clamp(1, 10)
        + RetryPolicy::longest_backoff(retry.attempts.clamp(1, 10), retry.first_backoff);
    let steps = shutdown.readiness_wait + shutdown.drain + shutdown.flush;
    let mut outlasts = |key: &str, outer: Duration, holds: bool, inner: Duration, what: &str| {
        if !holds {
            let (outer, inner) = (format_duration(outer), format_duration(inner));
            faults.push(ConfigFault::new(
                key,
                format!("is {outer}, too short for {what}, which takes {inner}"),
            ));
        }
    };
    outlasts(
        "http.client_timeout",
        http.client_timeout,
        http.client_timeout > http.ingress_timeout,
        http.ingress_timeout,
        "`http.ingress_timeout`",
    );
    outlasts(
        "http.ingress_timeout",
        http.ingress_timeout,
        http.ingress_timeout > http.max_deadline,
        http.max_deadline,
        "`http.max_deadline`",
    );
    outlasts(
        "http.max_deadline",
        http.max_deadline,
        http.max_deadline >= http.deadline,
        http.deadline,
        "`http.deadline`",
    );
    outlasts(
        "http.deadline",
        http.deadline,
        http.deadline >= attempts,
        attempts,
        "retry.attempts × (database.acquire_timeout + database.statement_timeout) + backoff",
    );
    let calls = settings.upstream.attempt_timeout * retry.attempts.clamp(1, 10)
        + RetryPolicy::longest_backoff(retry.attempts.clamp(1, 10), retry.first_backoff);
    outlasts(
        "http.deadline",
        http.deadline,
        http.deadline >= calls,
        calls,
        "retry.attempts × upstream.attempt_timeout + backoff",
    );
    outlasts(
        "database.statement_timeout",
        database.statement_timeout,
        database.statement_timeout > database.lock_timeout,
        database.lock_timeout,
        "`database.lock_timeout`",
    );
    outlasts(
        "http.max_deadline",
        http.max_deadline,
        http.max_deadline >= http.min_deadline,
        http.min_deadline,
        "`http.min_deadline`",
    );
    outlasts(
        "shutdown.drain",
        shutdown.drain,
        shutdown.drain >= http.body_timeout + http.deadline,
        http.body_timeout + http.deadline,
        "http.body_timeout + http.deadline",
    );
    outlasts(
        "shutdown.grace",
        shutdown.grace,
        shutdown.grace > steps,
        steps,
        "shutdown.readiness_wait + shutdown.drain + shutdown.flush",
    );
    outlasts(
        "cache.stale",
        settings.cache.stale,
        settings.cache.stale >= settings.cache.fresh,
        settings.cache.fresh,
        "`cache.fresh`",
    );
}
