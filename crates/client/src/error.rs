//! Why a call failed, with what belongs into a report.

use std::{fmt, time::Duration};

use serde::Deserialize;

use crate::ProblemCode;

/// A call that failed, after all its attempts.
#[derive(Debug)]
pub struct Error<C> {
    /// The method.
    pub method: &'static str,
    /// The route, as the contract has it.
    pub route: &'static str,
    /// Why the last attempt failed.
    pub failure: Failure<C>,
    /// The id under which the service's logs have this call.
    pub request_id: String,
    /// Every attempt, in order.
    pub attempts: Vec<Attempt>,
}

/// Why an attempt failed.
#[derive(Clone, Debug)]
pub enum Failure<C> {
    /// The service refused it, with a problem.
    Problem(Box<Problem<C>>),
    /// Something in front of the service answered in its place.
    Status(u16),
    /// No connection, or one that broke.
    Transport(String),
    /// No answer in time. A write may have happened: send it again with the same key.
    TimedOut,
    /// An answer that is not what the contract says.
    Invalid(String),
}

/// A problem (RFC 9457) of the service.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound = "C: ProblemCode")]
pub struct Problem<C> {
    /// What it is.
    pub code: C,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// Where the service's traces have it.
    pub trace_id: String,
    /// Whether the service says that trying again can help.
    pub retryable: bool,
    /// The faults in what was sent.
    #[serde(default)]
    pub errors: Vec<FieldError>,
}

/// One fault in what was sent.
#[derive(Clone, Debug, Deserialize)]
pub struct FieldError {
    /// Where in the body, as a JSON pointer.
    pub pointer: Option<String>,
    /// Which parameter.
    pub parameter: Option<String>,
    /// Which rule.
    pub code: String,
    /// In words.
    pub detail: String,
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// How it ended.
    pub outcome: String,
    /// How long it took.
    pub took: Duration,
    /// How long the client waited before it.
    pub waited: Duration,
}

impl<C: ProblemCode> Error<C> {
    /// The problem, where the service gave one.
    pub fn problem(&self) -> Option<&Problem<C>> {
        match &self.failure {
            Failure::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// A sentence to show to an end user.
    pub fn user_message(&self) -> &'static str {
        match &self.failure {
            Failure::Problem(problem) => problem.code.user_message(),
            Failure::Status(_) | Failure::Transport(_) | Failure::TimedOut => {
                "This is not available right now. Please try again shortly."
            }
            Failure::Invalid(_) => "Something went wrong on our side. Our team has been notified.",
        }
    }
}

impl<C: fmt::Display> fmt::Display for Failure<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problem(problem) => {
                write!(
                    f,
                    "{} {}: {} (trace {})",
                    problem.status, problem.code, problem.detail, problem.trace_id
                )
            }
            Self::Status(status) => write!(f, "{status} without a problem body"),
            Self::Transport(reason) => write!(f, "no answer: {reason}"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Invalid(reason) => write!(f, "an answer that is not as promised: {reason}"),
        }
    }
}

impl<C: fmt::Display> fmt::Display for Error<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: {}; request {}; attempts:",
            self.method, self.route, self.failure, self.request_id
        )?;
        for attempt in &self.attempts {
            write!(f, " [{} after {} ms]", attempt.outcome, attempt.took.as_millis())?;
        }
        Ok(())
    }
}

impl<C: fmt::Debug + fmt::Display> std::error::Error for Error<C> {}
