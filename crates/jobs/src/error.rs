//! How an attempt ends without success.

use std::time::Duration;

use outcome::{Cause, ProblemType};

/// Why an attempt did not succeed. There is no conversion from other errors: each place says whether another attempt can
/// help.
#[derive(Debug)]
pub enum JobError {
    /// Another attempt may succeed. Out of attempts, the run is `dead`.
    Retry(Cause),
    /// It was not tried: the run is postponed by at least this time, and that costs no attempt.
    Later(Duration, Cause),
    /// It can never succeed: the run ends as `failed` with this problem.
    Fail(&'static ProblemType, Cause),
}

impl JobError {
    /// Another attempt may succeed: the database failed, another service did, time ran out.
    pub fn retry(cause: impl Into<Cause>) -> Self {
        Self::Retry(cause.into())
    }

    /// Not now: what it needs asks to be left alone for this time.
    pub fn later(wait: Duration, cause: impl Into<Cause>) -> Self {
        Self::Later(wait, cause.into())
    }

    /// Never: a rule refuses it, and will refuse it again.
    pub fn fail(problem: &'static ProblemType, cause: impl Into<Cause>) -> Self {
        Self::Fail(problem, cause.into())
    }
}
