//! Limits of calls, retries and the cache.

use std::time::Duration;

/// Limits of calls, retries and the cache. The defaults fit those of the service, whose largest deadline is below
/// `attempt_timeout`.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The maximum number of attempts, including the first.
    pub attempts: u32,
    /// The time limit for one attempt.
    pub attempt_timeout: Duration,
    /// The time limit for a call with all its attempts and waits.
    pub deadline: Duration,
    /// The upper limit of the first random wait, doubled for each further one; any `Retry-After` is added.
    pub initial_backoff: Duration,
    /// The limit on retries as a fraction of successful calls, plus one per second.
    pub retry_budget: f32,
    /// The number of responses to reads in the cache, returned when the service is unavailable; 0 disables the cache.
    pub stale_entries: u64,
    /// The maximum age of a cached response.
    pub stale_for: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attempts: 3,
            attempt_timeout: Duration::from_secs(12),
            deadline: Duration::from_secs(30),
            initial_backoff: Duration::from_millis(100),
            retry_budget: 0.1,
            stale_entries: 0,
            stale_for: Duration::from_mins(5),
        }
    }
}
