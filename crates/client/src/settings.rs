//! How patient the client is.

use std::time::Duration;

/// How patient the client is. The defaults fit the service's own: its largest deadline is below the attempt's time.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Attempts in all.
    pub attempts: u32,
    /// Time for one attempt.
    pub attempt_timeout: Duration,
    /// Time for a call with all its attempts and waits.
    pub deadline: Duration,
    /// The first wait is random up to this, each further one up to twice as much; `Retry-After` comes first.
    pub first_backoff: Duration,
    /// Retries as a share of successful calls, besides one per second.
    pub retry_budget: f32,
    /// Answers to reads that are kept to stand in when the service cannot answer; 0 keeps none.
    pub stale_entries: u64,
    /// The oldest that may stand in.
    pub stale_for: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attempts: 3,
            attempt_timeout: Duration::from_secs(12),
            deadline: Duration::from_secs(30),
            first_backoff: Duration::from_millis(100),
            retry_budget: 0.1,
            stale_entries: 0,
            stale_for: Duration::from_secs(300),
        }
    }
}
