//! One occurrence of a problem type.

use std::{backtrace::Backtrace, borrow::Cow, error::Error, time::Duration};

use serde::Serialize;

use crate::{FieldError, Origin, ProblemType};

/// The error that caused a problem. It is logged and never sent to the caller.
pub type Cause = Box<dyn Error + Send + Sync>;

/// The default for `Retry-After`, in seconds; the range is the jitter.
const DEFAULT_RETRY_SECONDS: std::ops::RangeInclusive<u64> = 1..=3;

/// A refused request: its problem type, what the caller sees, and the cause, which only the log shows.
#[derive(Debug)]
pub struct Problem {
    /// The row of the catalogue.
    pub problem_type: &'static ProblemType,
    /// What happened this time. Sent to the caller, so it must not reveal internals.
    pub detail: Cow<'static, str>,
    /// The errors in the caller's input.
    pub errors: Vec<FieldError>,
    /// Whether the request may have taken effect: the connection was lost after COMMIT was sent.
    pub outcome_unknown: bool,
    /// The underlying error, for the log.
    pub cause: Option<Cause>,
    /// Additional response headers, such as `Allow`.
    pub headers: Vec<(&'static str, String)>,
    /// Where a bug became a problem; `None` for known failures.
    pub backtrace: Option<String>,
    retry_after: Option<u64>,
}

impl Problem {
    /// A problem of this type with `detail` for the caller.
    pub fn new(problem_type: &'static ProblemType, detail: impl Into<Cow<'static, str>>) -> Self {
        let retry_after = problem_type
            .retryable()
            .then(|| fastrand::u64(DEFAULT_RETRY_SECONDS));
        Self {
            problem_type,
            detail: detail.into(),
            errors: Vec::new(),
            outcome_unknown: false,
            cause: None,
            headers: Vec::new(),
            // Costs milliseconds, which only a bug is worth.
            backtrace: (problem_type.origin == Origin::Service)
                .then(|| Backtrace::force_capture().to_string()),
            retry_after,
        }
    }

    /// Sets `Retry-After` to `wait`, at least one second, plus up to a second of jitter so that callers refused
    /// together do not retry together. Ignored if the problem is not retryable.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        if self.problem_type.retryable() {
            self.retry_after = Some(
                (wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
                    .max(1)
                    .saturating_add(fastrand::u64(0..=1)),
            );
        }
        self
    }

    /// Adds a response header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the cause, for the log.
    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The same occurrence as a problem of another type that is equally retryable, without the cause.
    pub fn as_type(&self, problem_type: &'static ProblemType) -> Self {
        Self {
            problem_type,
            detail: self.detail.clone(),
            errors: self.errors.clone(),
            outcome_unknown: self.outcome_unknown,
            cause: None,
            backtrace: None,
            headers: self.headers.clone(),
            retry_after: self.retry_after,
        }
    }

    /// The value of `Retry-After` in seconds, present exactly when the problem is retryable.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after
    }

    /// The RFC 9457 body.
    pub fn body<'p>(&'p self, request_id: &'p str, trace_id: &'p str) -> impl Serialize + use<'p> {
        Body {
            r#type: self.problem_type.uri(),
            title: self.problem_type.title,
            status: self.problem_type.status.as_u16(),
            detail: &self.detail,
            code: self.problem_type.code,
            request_id,
            trace_id,
            retryable: self.problem_type.retryable(),
            origin: self.problem_type.origin,
            advice: self.problem_type.advice,
            user_message: self.problem_type.user_message,
            outcome: self.outcome_unknown.then_some("unknown"),
            errors: &self.errors,
        }
    }

    /// The cause and the chain of its sources, outermost first, for the log.
    pub fn cause_chain(&self) -> Option<String> {
        self.cause.as_deref().map(|cause| cause_chain(cause))
    }
}

/// An error and the chain of its sources, outermost first, separated by colons.
pub fn cause_chain(mut error: &(dyn Error + 'static)) -> String {
    let mut chain = error.to_string();
    while let Some(source) = error.source() {
        let text = source.to_string();
        // Many errors repeat their source in their own message.
        if !chain.ends_with(&text) {
            chain.push_str(": ");
            chain.push_str(&text);
        }
        error = source;
    }
    chain
}

/// For logs and operators: the code, the detail and the causes.
impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.problem_type.code, self.detail)?;
        self.cause_chain().map_or(Ok(()), |cause| write!(f, " ({cause})"))
    }
}

#[derive(Serialize)]
struct Body<'p> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'p str,
    code: &'static str,
    request_id: &'p str,
    trace_id: &'p str,
    retryable: bool,
    origin: Origin,
    advice: &'static str,
    user_message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'p [FieldError],
}
