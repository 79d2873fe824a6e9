//! The trait of refusals.

use std::{convert::Infallible, time::Duration};

use crate::{Cause, FieldError, Problem, ProblemType};

/// All the ways in which an operation, or a layer in front of it, can refuse a request.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a refusal",
    label = "not a refusal",
    note = "derive `Refusal` for an enum with a variant for each way in which this operation can be refused"
)]
pub trait Refusal: Sized {
    /// The problem types of all variants, for `OpenAPI` and for the tests that loop over them.
    fn problem_types() -> Vec<&'static ProblemType>;

    /// The problem type of this refusal, without building its problem.
    fn problem_type(&self) -> &'static ProblemType;

    /// The problem to respond with.
    fn into_problem(self) -> Problem;

    /// The name of the variant if it carries no value. An idempotency key records it in place of the problem, whose ids
    /// belong to one request.
    fn variant(&self) -> Option<&'static str> {
        None
    }

    /// The refusal whose [`variant`](Self::variant) has this name; `None` if this release has no such variant.
    fn from_variant(_name: &str) -> Option<Self> {
        None
    }

    /// The refusal as an error, for a log or for a failed job.
    fn into_cause(self) -> Cause {
        self.into_problem().to_string().into()
    }
}

/// The refusal of an operation that is never refused.
impl Refusal for Infallible {
    fn problem_types() -> Vec<&'static ProblemType> {
        Vec::new()
    }

    fn problem_type(&self) -> &'static ProblemType {
        match *self {}
    }

    fn into_problem(self) -> Problem {
        match self {}
    }
}

/// A value that a variant of a refusal carries and adds to its problem.
pub trait Attach {
    /// Adds this value to the problem.
    fn attach(self, problem: Problem) -> Problem;
}

impl Attach for Vec<FieldError> {
    fn attach(self, mut problem: Problem) -> Problem {
        problem.errors = self;
        problem
    }
}

impl Attach for FieldError {
    fn attach(self, problem: Problem) -> Problem {
        vec![self].attach(problem)
    }
}

impl Attach for Duration {
    fn attach(self, problem: Problem) -> Problem {
        problem.retry_after(self)
    }
}

impl Attach for Cause {
    fn attach(self, problem: Problem) -> Problem {
        problem.caused_by(self)
    }
}
