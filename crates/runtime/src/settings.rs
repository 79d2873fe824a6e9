//! The sections `service`, `retry` and `shutdown`.

use std::time::Duration;

use resilience::RetryPolicy;
use settings::{Choice, Errors};
use telemetry::LOG_FLUSH;

/// The longest time for the management server to stop.
pub const MANAGEMENT_STOP: Duration = Duration::from_secs(1);

/// The longest time for blocking work to end when the runtime stops.
pub const RUNTIME_STOP: Duration = Duration::from_secs(1);

/// The environment in which the service runs. Development secrets are rejected outside `development`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Choice)]
pub enum Environment {
    /// A developer's machine, or a test.
    Development,
    /// An environment like production, for trying releases.
    Staging,
    /// The environment of real users.
    Production,
}

/// The identity of the service.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = ServiceSettings::check)]
pub struct ServiceSettings {
    /// Name of the service in traces, in metric labels and as the prefix of Redis keys. Must be unique among the
    /// services that share them.
    #[setting(default = "service".to_owned())]
    pub name: String,
    /// Git revision that the process was built from, for traces and `build_info`. The image sets it.
    pub revision: Option<String>,
    /// Environment of the service: `development`, `staging` or `production`. Development secrets are rejected outside
    /// `development`.
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
            errors.add(
                "name",
                "use at most 63 characters from a-z, 0-9, - and _, and begin with a letter",
            );
        }
    }
}

/// Retries of transient errors, where repeating is safe.
#[derive(Clone, Debug, settings::Settings)]
pub struct RetrySettings {
    /// Maximum attempts, including the first; 1 disables retries.
    #[setting(default = 3, min = 1, max = 10)]
    pub max_attempts: u32,
    /// Upper bound of the backoff before the second attempt; it doubles with each further attempt. The actual backoff
    /// is random between zero and the bound.
    #[setting(default = Duration::from_millis(50), min = Duration::from_millis(1))]
    pub initial_backoff: Duration,
    /// Retries allowed as a fraction of successful calls, 0 to 1, in addition to one per second, counted for each
    /// dependency over ten seconds. Beyond that, errors are not retried.
    #[setting(default = 0.1, above = 0.0, max = 1.0)]
    pub budget_ratio: f32,
}

impl RetrySettings {
    /// A policy with its own budget, so that one dependency cannot spend the retries of another.
    pub fn policy(&self) -> RetryPolicy {
        RetryPolicy::new(self.max_attempts, self.initial_backoff, self.budget_ratio)
    }

    /// The longest time that all attempts, of at most `attempt` each, and the backoff between them can take.
    pub fn longest(&self, attempt: Duration) -> Duration {
        attempt * self.max_attempts + RetryPolicy::longest_backoff(self.max_attempts, self.initial_backoff)
    }
}

/// Graceful shutdown on SIGTERM.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = ShutdownSettings::check)]
pub struct ShutdownSettings {
    /// Time between `/readyz` returning 503 and the end of accepting connections, for load balancers to notice.
    #[setting(default = Duration::from_secs(5))]
    pub deregistration_delay: Duration,
    /// Maximum time for accepted requests and critical sections to finish; after that, they are aborted. Must be at
    /// least `http.body_timeout` + `http.max_deadline`.
    #[setting(default = Duration::from_secs(20), min = Duration::from_millis(1))]
    pub drain_timeout: Duration,
    /// Maximum time to export the remaining spans; after that, they are lost.
    #[setting(default = Duration::from_secs(5))]
    pub flush_timeout: Duration,
    /// Grace period of the platform, such as `terminationGracePeriodSeconds` in Kubernetes. The service does not use
    /// it, but `api check` verifies that it exceeds the sum of the other `shutdown` settings and of the three seconds that
    /// stopping the management server, the runtime and the log may take.
    #[setting(default = Duration::from_secs(35))]
    pub grace_period: Duration,
}

impl ShutdownSettings {
    fn check(&self, errors: &mut Errors) {
        errors.outlasts(
            "grace_period",
            (self.grace_period, self.grace_period > self.steps()),
            (
                "shutdown.deregistration_delay + shutdown.drain_timeout + shutdown.flush_timeout + 3s",
                self.steps(),
            ),
        );
    }

    /// The total time of all steps.
    pub fn steps(&self) -> Duration {
        self.deregistration_delay
            + self.drain_timeout
            + self.flush_timeout
            + MANAGEMENT_STOP
            + RUNTIME_STOP
            + LOG_FLUSH
    }
}
