//! The section `jobs`.

use std::time::Duration;

/// Background jobs.
#[derive(Clone, Debug, settings::Settings)]
pub struct Settings {
    /// Jobs that one worker runs at once.
    #[setting(default = 8, min = 1)]
    pub concurrency: usize,
    /// Connections for the jobs of a worker, besides those for requests.
    #[setting(default = 8, min = 1)]
    pub pool_size: usize,
    /// `statement_timeout` of those connections.
    #[setting(
        default = Duration::from_secs(30),
        min = Duration::from_millis(1),
        max = Duration::from_hours(576)
    )]
    pub statement_timeout: Duration,
    /// Jobs that may wait; beyond that, requests that would add one get 503 `overloaded`.
    #[setting(default = 100_000, min = 1)]
    pub max_queued: usize,
    /// How long finished runs are kept; dead ones stay.
    #[setting(default = Duration::from_hours(168))]
    pub retention: Duration,
}
