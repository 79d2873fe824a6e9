//! Rules across the sections of different crates: what only development may leave out, capacity, and the order of
//! timeouts.

use std::time::Duration;

use runtime::Environment;
use settings::{Errors, Setting};

use crate::Settings;

pub(crate) fn check(settings: &Settings, errors: &mut Errors) {
    if settings.service.environment != Environment::Development {
        outside_development(settings, errors);
    }
    fault_injection(settings, errors);
    capacity(settings, errors);
    timeouts(settings, errors);
}

/// What a developer's machine may leave out.
fn outside_development(settings: &Settings, errors: &mut Errors) {
    let auth = &settings.auth;
    if auth.has_development_secret() {
        errors.add(
            "auth.secret",
            "is the public development secret; set APP__AUTH__SECRET to your own (`openssl rand -base64 32`)",
        );
    }
    if auth.has_development_hash_key() {
        errors.add(
            "auth.hash_key",
            "is the public development key; set APP__AUTH__HASH_KEY to your own (`openssl rand -base64 32`)",
        );
    }
    // Without them, a token for any other service of the same identity provider would be accepted.
    if auth.issuer.is_none() {
        errors.add(
            "auth.issuer",
            "is not set; set it to the `iss` of your identity provider",
        );
    }
    if auth.audience.is_none() {
        errors.add(
            "auth.audience",
            "is not set; set it to the `aud` that names this service",
        );
    }
    if auth.jwks_url.as_ref().is_some_and(|url| url.scheme() != "https") {
        errors.add(
            "auth.jwks_url",
            "must begin with https: any other server in between could sign tokens",
        );
    }
    if settings.http.trusted_proxies.is_none() {
        errors.add(
            "http.trusted_proxies",
            "is not set; list the addresses of the ingress, or write `none` if clients connect directly",
        );
    }
}

fn fault_injection(settings: &Settings, errors: &mut Errors) {
    if settings.faults.enabled && settings.service.environment == Environment::Production {
        errors.add("faults.enabled", "is not allowed in production");
    }
}

/// What shares a resource must leave room for the others.
#[cfg_attr(
    not(feature = "cache"),
    expect(unused_variables, reason = "only the cache shares")
)]
fn capacity(settings: &Settings, errors: &mut Errors) {
    #[cfg(feature = "cache")]
    // A single connection cannot be shared out.
    if settings.database.pool_size > 1 && settings.cache.max_concurrent_loads >= settings.database.pool_size {
        errors.add(
            "cache.max_concurrent_loads",
            "must be less than `database.pool_size`, so that writes find free connections",
        );
    }
}

/// An outer timeout must outlast the inner ones, or the response to an inner one is never seen:
/// deadline ≥ Redis + attempts × (acquire + one statement) + backoff.
fn timeouts(settings: &Settings, errors: &mut Errors) {
    let (http, database, shutdown) = (&settings.http, &settings.database, &settings.shutdown);
    let redis = redis_time(settings);
    let attempt = database.acquire_timeout + database.statement_timeout;
    let reads = redis + settings.retry.longest(attempt);
    errors.outlasts(
        "http.deadline",
        (http.deadline, http.deadline >= reads),
        (
            "redis.timeout + retry.max_attempts × (database.acquire_timeout + database.statement_timeout) + backoff",
            reads,
        ),
    );
    let requests = http.body_timeout + http.max_deadline;
    errors.outlasts(
        "shutdown.drain_timeout",
        (shutdown.drain_timeout, shutdown.drain_timeout >= requests),
        ("http.body_timeout + http.max_deadline", requests),
    );
}

/// Checks that a request can make all attempts of a call of the upstream service `name`; returns what holds.
pub(crate) fn calls(
    settings: &Settings,
    name: &str,
    attempt_timeout: Duration,
    errors: &mut Errors,
) -> String {
    let calls = redis_time(settings) + settings.retry.longest(attempt_timeout);
    let deadline = settings.http.deadline;
    let what = format!("redis.timeout + retry.max_attempts × {name}.attempt_timeout + backoff");
    errors.outlasts("http.deadline", (deadline, deadline >= calls), (&what, calls));
    format!(
        "{name}: deadline {} >= {} attempts with Redis and backoff {}",
        deadline.text(),
        settings.retry.max_attempts,
        calls.text()
    )
}

/// The longest time that a request spends on Redis.
fn redis_time(settings: &Settings) -> Duration {
    #[cfg(feature = "cache")]
    return settings.redis.timeout;
    #[cfg(not(feature = "cache"))]
    {
        let _ = settings;
        Duration::ZERO
    }
}

/// The orders of timeouts that hold, with their values, for people who check a configuration.
pub(crate) fn verified(settings: &Settings) -> Vec<String> {
    let (http, database, shutdown) = (&settings.http, &settings.database, &settings.shutdown);
    let attempt = database.acquire_timeout + database.statement_timeout;
    let attempts = redis_time(settings) + settings.retry.longest(attempt);
    let text = Duration::text;
    vec![
        format!(
            "timeouts: client {} > ingress {} > largest deadline {} >= deadline {} >= {} attempts with Redis and backoff {}",
            text(&http.client_timeout),
            text(&http.ingress_timeout),
            text(&http.max_deadline),
            text(&http.deadline),
            settings.retry.max_attempts,
            text(&attempts)
        ),
        format!(
            "connections: keep-alive {} > ingress idle {}",
            text(&http.keep_alive),
            text(&http.ingress_idle_timeout)
        ),
        format!(
            "shutdown: grace {} > steps {}; drain {} >= body {} + largest deadline {}",
            text(&shutdown.grace_period),
            text(&shutdown.steps()),
            text(&shutdown.drain_timeout),
            text(&http.body_timeout),
            text(&http.max_deadline)
        ),
    ]
}

/// The message for a role without privileges on a table of the platform.
pub(crate) fn forbidden(table: &str) -> String {
    format!(
        "the role may not read and write the table {table}; run `api migrate --grant-to ROLE` as the owner"
    )
}
