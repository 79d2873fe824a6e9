//! The section `jobs`.

use std::time::Duration;

use settings::Errors;

/// Background jobs.
#[derive(Clone, Debug, settings::Settings)]
#[settings(check = Settings::check)]
pub struct Settings {
    /// Maximum number of jobs that one worker runs at the same time.
    #[setting(default = 8, min = 1)]
    pub concurrency: usize,
    /// Connections for the jobs of a worker, in addition to `database.pool_size`. Must exceed `jobs.concurrency`, so that
    /// jobs that each hold a connection leave one for claims.
    #[setting(default = 9, min = 2)]
    pub pool_size: usize,
    /// Postgres `statement_timeout` of the connections for jobs.
    #[setting(
        default = Duration::from_secs(30),
        min = Duration::from_millis(1),
        max = Duration::from_hours(576)
    )]
    pub statement_timeout: Duration,
    /// Time without a heartbeat after which a worker loses its jobs to the other workers.
    #[setting(default = Duration::from_secs(10), min = Duration::from_secs(1))]
    pub lease: Duration,
    /// Maximum number of queued jobs that are due. At the limit, requests that would add one get 503 `overloaded`.
    #[setting(default = 100_000, min = 1)]
    pub max_queued: usize,
    /// Time for which finished jobs are kept. Dead jobs are kept until an operator discards them, or the next run of their
    /// schedule replaces them.
    #[setting(default = Duration::from_hours(168))]
    pub retention: Duration,
}

impl Settings {
    fn check(&self, errors: &mut Errors) {
        if self.pool_size <= self.concurrency {
            errors.add(
                "pool_size",
                "must be greater than `jobs.concurrency`: each job may hold a connection, and claims need one",
            );
        }
    }
}
