//! Rules between the sections of different crates: secrets, drills, and timeouts that must line up.

use runtime::Environment;
use settings::Errors;

use crate::Settings;

pub(crate) fn check(settings: &Settings, errors: &mut Errors) {
    secrets(settings, errors);
    drills(settings, errors);
    timeouts(settings, errors);
}

fn secrets(settings: &Settings, errors: &mut Errors) {
    if settings.auth.has_development_secret() && settings.service.environment != Environment::Development {
        errors.add(
            "auth.secret",
            "is the public development secret; set APP__AUTH__SECRET to one of your own (`openssl rand -base64 32`)",
        );
    }
}

fn drills(settings: &Settings, errors: &mut Errors) {
    if settings.faults.enabled && settings.service.environment == Environment::Production {
        errors.add("faults.enabled", "is for drills; production refuses it");
    }
}

/// The outer layer must outlast the inner one, or the inner one's answer is never seen:
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
            "retry.attempts × (database.acquire_timeout + database.statement_timeout) + backoff",
            statements,
        ),
    );
    let calls = settings.retry.longest(settings.upstream.attempt_timeout);
    errors.outlasts(
        "http.deadline",
        (http.deadline, http.deadline >= calls),
        ("retry.attempts × upstream.attempt_timeout + backoff", calls),
    );
    let requests = http.body_timeout + http.deadline;
    errors.outlasts(
        "shutdown.drain",
        (shutdown.drain, shutdown.drain >= requests),
        ("http.body_timeout + http.deadline", requests),
    );
}
