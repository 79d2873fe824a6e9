//! Rules across the sections of different crates: secrets, fault injection, and the order of timeouts.

use runtime::Environment;
use settings::Errors;

use crate::Settings;

pub(crate) fn check(settings: &Settings, errors: &mut Errors) {
    secrets(settings, errors);
    fault_injection(settings, errors);
    timeouts(settings, errors);
}

fn secrets(settings: &Settings, errors: &mut Errors) {
    if settings.auth.has_development_secret() && settings.service.environment != Environment::Development {
        errors.add(
            "auth.secret",
            "is the public development secret; set APP__AUTH__SECRET to your own (`openssl rand -base64 32`)",
        );
    }
}

fn fault_injection(settings: &Settings, errors: &mut Errors) {
    if settings.faults.enabled && settings.service.environment == Environment::Production {
        errors.add("faults.enabled", "is not allowed in production");
    }
}

/// An outer timeout must outlast the inner ones, or the response to an inner one is never seen:
/// deadline ≥ attempts × (acquire + statement) + backoff.
fn timeouts(settings: &Settings, errors: &mut Errors) {
    let (http, database, shutdown) = (&settings.http, &settings.database, &settings.shutdown);
    let statements = settings
        .retry
        .longest(database.acquire_timeout + database.statement_timeout);
    errors.outlasts(
        "http.deadline",
        (http.deadline, http.deadline >= statements),
        (
            "retry.max_attempts × (database.acquire_timeout + database.statement_timeout) + backoff",
            statements,
        ),
    );
    let calls = settings.retry.longest(settings.upstream.attempt_timeout);
    errors.outlasts(
        "http.deadline",
        (http.deadline, http.deadline >= calls),
        ("retry.max_attempts × upstream.attempt_timeout + backoff", calls),
    );
    let requests = http.body_timeout + http.deadline;
    errors.outlasts(
        "shutdown.drain_timeout",
        (shutdown.drain_timeout, shutdown.drain_timeout >= requests),
        ("http.body_timeout + http.deadline", requests),
    );
}
