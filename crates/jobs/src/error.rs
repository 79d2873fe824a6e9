//! The ways an attempt ends without success.

use std::time::Duration;

use database::DatabaseError;
use outcome::{Cause, ProblemType, Refusal};
use upstream::UpstreamError;

/// The wait after a call that was not sent because this process had no capacity for it.
const CAPACITY_WAIT: Duration = Duration::from_secs(1);
/// The wait for an unavailable dependency that does not say how long to wait.
const UNAVAILABLE_WAIT: Duration = Duration::from_secs(5);

/// Why an attempt did not succeed. There is no conversion from other errors: each place says whether another attempt
/// can help.
#[derive(Debug)]
pub enum JobError {
    /// Another attempt may succeed. It follows after a backoff, until the run has failed for `Job::RETRY_FOR`.
    Retry(Cause),
    /// The work was not tried. The run is postponed by at least this time, which does not count as a failure.
    Postpone(Duration, Cause),
    /// A dependency of every run of this kind is unavailable. All workers pause the kind for at least this time; then
    /// one run at a time probes whether the dependency is available again. Does not count as a failure.
    Unavailable(Duration, Cause),
    /// No attempt can succeed: the run ends as failed with this problem.
    Fail(&'static ProblemType, Cause),
}

impl JobError {
    /// The error of an attempt that may succeed when it is repeated.
    pub fn retry(cause: impl Into<Cause>) -> Self {
        Self::Retry(cause.into())
    }

    /// The error of a run that was not tried; the next attempt does not start before `wait` has passed.
    pub fn postpone(wait: Duration, cause: impl Into<Cause>) -> Self {
        Self::Postpone(wait, cause.into())
    }

    /// The error of a run whose dependency is unavailable for at least `wait`, as it is for every run of its kind.
    pub fn unavailable(wait: Duration, cause: impl Into<Cause>) -> Self {
        Self::Unavailable(wait, cause.into())
    }

    /// The error of work that a rule refuses, now and at every later attempt.
    pub fn fail(problem: &'static ProblemType, cause: impl Into<Cause>) -> Self {
        Self::Fail(problem, cause.into())
    }

    /// The error of a job whose statement failed. If Postgres could not be reached or had no capacity, the run is postponed,
    /// because the job is not at fault.
    pub fn database(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Unavailable(_)
            | DatabaseError::StalePlan(_)
            | DatabaseError::ReadOnly(_)
            | DatabaseError::StorageExhausted(_)
            | DatabaseError::SerializationFailure(_)
            | DatabaseError::Deadlock(_)
            | DatabaseError::LockTimeout(_)
            | DatabaseError::PoolExhausted
            | DatabaseError::ServerOverloaded(_) => Self::Postpone(CAPACITY_WAIT, error.into_cause()),
            DatabaseError::OutcomeUnknown(_)
            | DatabaseError::DeadlineExceeded
            | DatabaseError::StatementTimeout(_)
            | DatabaseError::Bug(_) => Self::Retry(error.into_cause()),
        }
    }

    /// The error of a job whose call to another service failed. If the service asked to wait or refused the credentials, or
    /// its circuit breaker is open, the kind is paused.
    pub fn upstream(error: UpstreamError) -> Self {
        match error {
            UpstreamError::Open(wait) | UpstreamError::Throttled(wait) | UpstreamError::FailedUntil(wait) => {
                Self::Unavailable(wait, error.into_cause())
            }
            UpstreamError::Unauthorized(_) => Self::Unavailable(UNAVAILABLE_WAIT, error.into_cause()),
            UpstreamError::InProgress(wait) => Self::Postpone(wait, error.into_cause()),
            UpstreamError::Saturated => Self::Postpone(CAPACITY_WAIT, error.into_cause()),
            UpstreamError::Unreachable(_)
            | UpstreamError::Failed(_)
            | UpstreamError::Rejected(_)
            | UpstreamError::Invalid(_)
            | UpstreamError::TimedOut => Self::Retry(error.into_cause()),
        }
    }
}
