//! The section `jobs`.

use std::time::Duration;

/// Background jobs.
#[derive(Clone, Debug, settings::Settings)]
pub struct Settings {
    /// Jobs that one worker runs in parallel.
    #[setting(default = 8, min = 1)]
    pub concurrency: usize,
    /// Connections for the jobs of a worker, in addition to `database.pool_size`.
    #[setting(default = 8, min = 1)]
    pub pool_size: usize,
    /// `statement_timeout` of the connections for jobs.
    #[setting(
        default = Duration::from_secs(30),
        min = Duration::from_millis(1),
        max = Duration::from_hours(576)
    )]
    pub statement_timeout: Duration,
    /// Largest number of queued jobs; at the limit, requests that would add one get 503 `overloaded`.
    #[setting(default = 100_000, min = 1)]
    pub max_queued: usize,
    /// How long finished runs are kept; dead runs are kept until an operator discards them.
    #[setting(default = Duration::from_hours(168))]
    pub retention: Duration,
}
