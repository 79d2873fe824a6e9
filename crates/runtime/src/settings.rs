//! The sections `service`, `retry` and `shutdown`.

use std::time::Duration;

use resilience::RetryPolicy;
use settings::{Choice, Errors};

/// Where the service runs. Outside `development` the development secrets are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Choice)]
pub enum Environment {
    /// A developer's machine, and the tests.
    Development,
    /// Like production, for trying releases.
    Staging,
    /// The real thing.
    Production,
}

/// The service itself.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = ServiceSettings::check)]
pub struct ServiceSettings {
    /// Name that keeps this service apart from others: trace resource, Redis prefix, metric label.
    #[setting(default = "service".to_owned())]
    pub name: String,
    /// `development`, `staging` or `production`.
    #[setting(default = Environment::Development)]
    pub environment: Environment,
}

impl ServiceSettings {
    fn check(&self, errors: &mut Errors) {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let valid = self.name.starts_with(|first: char| first.is_ascii_lowercase())
            && self.name.len() <= 63
            && self.name.chars().all(allowed);
        if !valid {
            errors.add("name", "use up to 63 of a-z, 0-9, - and _, a letter first");
        }
    }
}

/// Retries of what is safe and may pass.
#[derive(Clone, Debug, settings::Settings)]
pub struct RetrySettings {
    /// Attempts in all.
    #[setting(default = 3, min = 1, max = 10)]
    pub attempts: u32,
    /// The first wait is random up to this, each further one up to twice as much.
    #[setting(default = Duration::from_millis(50), min = Duration::from_millis(1))]
    pub first_backoff: Duration,
    /// Retries as a share of successful calls, besides one per second.
    #[setting(default = 0.1, above = 0.0, max = 1.0)]
    pub budget: f32,
}

impl RetrySettings {
    /// A policy with a budget of its own: what one dependency spends must not be missing for another.
    pub fn policy(&self) -> RetryPolicy {
        RetryPolicy::new(self.attempts, self.first_backoff, self.budget)
    }

    /// The longest that attempts of at most `attempt` each can take, with the waits between them.
    pub fn longest(&self, attempt: Duration) -> Duration {
        attempt * self.attempts + RetryPolicy::longest_backoff(self.attempts, self.first_backoff)
    }
}

/// The way out after SIGTERM.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = ShutdownSettings::check)]
pub struct ShutdownSettings {
    /// From `/readyz` 503 until no more connections are accepted: time for balancers to notice.
    #[setting(default = Duration::from_secs(5))]
    pub readiness_wait: Duration,
    /// Time for requests and commit sections to finish.
    #[setting(default = Duration::from_secs(15), min = Duration::from_millis(1))]
    pub drain: Duration,
    /// Time to hand over what telemetry holds.
    #[setting(default = Duration::from_secs(5))]
    pub flush: Duration,
    /// The platform's grace period, not used, but `api check` proves that all of the above fits into it.
    #[setting(default = Duration::from_secs(30))]
    pub grace: Duration,
}

impl ShutdownSettings {
    fn check(&self, errors: &mut Errors) {
        errors.outlasts(
            "grace",
            (self.grace, self.grace > self.steps()),
            (
                "shutdown.readiness_wait + shutdown.drain + shutdown.flush",
                self.steps(),
            ),
        );
    }

    /// All steps one after the other.
    fn steps(&self) -> Duration {
        self.readiness_wait + self.drain + self.flush
    }
}
