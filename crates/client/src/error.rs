//! Why a call failed, with the details for a report.

use std::{fmt, time::Duration};

use reqwest::Method;
use serde::Deserialize;

use crate::{Key, ProblemCode};

/// A call that failed, after all its attempts.
#[derive(Debug)]
pub struct Error<C> {
    /// The HTTP method.
    pub method: Method,
    /// The path template, as in the contract.
    pub route: &'static str,
    /// Why the last attempt failed.
    pub failure: Failure<C>,
    /// The id of the call in the service's logs.
    pub request_id: String,
    /// The key of a write. Send the same request with the same key to find out whether the write took effect.
    pub idempotency_key: Option<Key>,
    /// Every attempt, in order.
    pub attempts: Vec<Attempt>,
}

/// Why an attempt failed.
#[derive(Clone, Debug)]
pub enum Failure<C> {
    /// The service responded with a problem.
    Problem(Box<Problem<C>>),
    /// An error status without a problem body, usually from a proxy in front of the service.
    Status(u16),
    /// The connection failed or was lost.
    Transport(String),
    /// No response in time. A write may have taken effect: retry it with the same key.
    TimedOut,
    /// There was no token to send.
    NoToken(String),
    /// A response that violates the contract.
    Invalid(String),
}

/// A problem (RFC 9457) of the service.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound = "C: ProblemCode")]
pub struct Problem<C> {
    /// The code of the problem type.
    pub code: C,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The id of the request's trace.
    pub trace_id: String,
    /// Whether the service says that a retry can succeed.
    pub retryable: bool,
    /// What the service knows about the effect of a write; `None` if it did not take effect.
    pub outcome: Option<Outcome>,
    /// The errors in the request.
    #[serde(default)]
    pub errors: Vec<FieldError>,
}

/// What a service knows about the effect of a write that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Outcome {
    /// The write may have taken effect. So is read whatever a later version of the service says.
    Unknown,
}

impl From<String> for Outcome {
    fn from(_: String) -> Self {
        Self::Unknown
    }
}

/// One error in the request.
#[derive(Clone, Debug, Deserialize)]
pub struct FieldError {
    /// The location in the body, as a JSON pointer.
    pub pointer: Option<String>,
    /// The name of the query or path parameter.
    pub parameter: Option<String>,
    /// The name of the header.
    pub header: Option<String>,
    /// The violated rule.
    pub code: String,
    /// What is expected.
    pub detail: String,
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The result of the attempt: `ok`, or the failure.
    pub outcome: String,
    /// The duration of the attempt.
    pub took: Duration,
    /// The wait before the attempt.
    pub waited: Duration,
    /// Whether the attempt may have taken effect although it failed.
    pub outcome_unknown: bool,
}

impl<C: ProblemCode> Error<C> {
    /// The problem, if the service responded with one.
    pub fn problem(&self) -> Option<&Problem<C>> {
        match &self.failure {
            Failure::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// Whether the call may have taken effect in one of its attempts. A write with an idempotency key can find out with the
    /// same key; a new key could make it take effect twice.
    pub fn outcome_unknown(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.outcome_unknown)
    }

    /// A sentence to show to an end user.
    pub fn user_message(&self) -> &'static str {
        match &self.failure {
            Failure::Problem(problem) => problem.code.user_message(),
            Failure::Status(_) | Failure::Transport(_) | Failure::TimedOut | Failure::NoToken(_) => {
                "This is not available right now. Please try again shortly."
            }
            Failure::Invalid(_) => "Something went wrong on our side. Our team has been notified.",
        }
    }
}

impl<C> Failure<C> {
    /// Whether an attempt that failed in this way may have taken effect.
    pub(crate) fn outcome_unknown(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.outcome == Some(Outcome::Unknown),
            Self::Transport(_) | Self::TimedOut | Self::Invalid(_) => true,
            Self::Status(status) => *status >= 500,
            Self::NoToken(_) => false,
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
            Self::Transport(reason) => write!(f, "no response: {reason}"),
            Self::TimedOut => f.write_str("no response in time"),
            Self::NoToken(reason) => write!(f, "no token: {reason}"),
            Self::Invalid(reason) => write!(f, "a response that violates the contract: {reason}"),
        }
    }
}

impl<C: fmt::Display> fmt::Display for Error<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: {}; request {}",
            self.method, self.route, self.failure, self.request_id
        )?;
        if let Some(key) = &self.idempotency_key {
            write!(f, "; idempotency key {key}")?;
        }
        f.write_str("; attempts:")?;
        for attempt in &self.attempts {
            write!(f, " [{} after {} ms]", attempt.outcome, attempt.took.as_millis())?;
        }
        Ok(())
    }
}

impl<C: fmt::Debug + fmt::Display> std::error::Error for Error<C> {}
