//! The section `upstream`.

use std::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);

/// Calls to other services, each with a breaker and a bulkhead of its own.
#[derive(Clone, Debug, settings::Settings)]
pub struct Settings {
    /// Time for one attempt.
    #[setting(default = Duration::from_millis(800), min = MILLISECOND)]
    pub attempt_timeout: Duration,
    /// Calls of one service in flight at once; the excess gets 503 `upstream-unavailable`.
    #[setting(default = 32, min = 1)]
    pub bulkhead: usize,
    /// Largest answer that is read.
    #[setting(default = 262_144, min = 1)]
    pub max_response_bytes: usize,
    /// Share of failed calls that opens the breaker.
    #[setting(default = 0.5, above = 0.0, max = 1.0)]
    pub breaker_share: f32,
    /// Calls below which the share says nothing.
    #[setting(default = 10, min = 1)]
    pub breaker_calls: usize,
    /// Time over which calls are counted.
    #[setting(default = Duration::from_secs(30), min = MILLISECOND)]
    pub breaker_window: Duration,
    /// Time, give or take a fifth, for which a service is not asked before one call probes it.
    #[setting(default = Duration::from_secs(5), min = MILLISECOND)]
    pub breaker_open: Duration,
}
