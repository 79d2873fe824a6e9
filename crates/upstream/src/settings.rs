//! The section `upstream`.

use std::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);

/// Calls to other services. Each service has its own circuit breaker and bulkhead.
#[derive(Clone, Debug, settings::Settings)]
pub struct Settings {
    /// Maximum time of one attempt, from connecting to the end of the response. After that, the attempt is retried if
    /// possible; otherwise the call fails with 504 `deadline-exceeded`.
    #[setting(default = Duration::from_millis(800), min = MILLISECOND)]
    pub attempt_timeout: Duration,
    /// Maximum calls to one service in flight per process; further calls fail with 503 `upstream-unavailable`.
    #[setting(default = 32, min = 1)]
    pub max_concurrent_calls: usize,
    /// Maximum size of a response body in bytes; a call with a larger one fails with 502 `upstream-invalid`.
    #[setting(default = 262_144, min = 1)]
    pub max_response_bytes: usize,
    /// Fraction of failed attempts, 0 to 1, at which the circuit breaker of a service opens. While it is open, calls
    /// fail immediately with 503 `upstream-unavailable`.
    #[setting(default = 0.5, above = 0.0, max = 1.0)]
    pub breaker_failure_rate: f32,
    /// Minimum attempts within `upstream.breaker_window` before the circuit breaker can open.
    #[setting(default = 10, min = 1)]
    pub breaker_min_calls: usize,
    /// Sliding window over which attempts and failures are counted.
    #[setting(default = Duration::from_secs(30), min = MILLISECOND)]
    pub breaker_window: Duration,
    /// Time, ±20 %, for which the circuit breaker stays open before one call probes the service.
    #[setting(default = Duration::from_secs(5), min = MILLISECOND)]
    pub breaker_open_duration: Duration,
}
