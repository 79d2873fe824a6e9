//! The enum of an operation's refusals.

use std::time::Duration;

use crate::{Cause, FieldError, Problem, ProblemType};

/// All the ways in which an operation, or a layer in front of it, can refuse a request.
pub trait Refusal: Sized {
    /// The problem types that can come out of this, for OpenAPI and for the tests that loop over them.
    fn problem_types() -> Vec<&'static ProblemType>;

    /// The problem to answer with.
    fn into_problem(self) -> Problem;
}

/// What a refusal's variant carries and adds to its problem.
pub trait Attach {
    /// Adds itself to the problem.
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

/// Declares a refusal enum: each variant, its problem type and its words stand in one place.
///
/// A variant may carry something that [`Attach`]es to the problem. `..Name(Other);` takes in all
/// refusals of another enum and writes the `From` that lets `?` carry it over; there is no other
/// conversion, so a `?` cannot turn a known failure into an `internal`.
///
/// ```
/// use outcome::{FieldError, Refusal, common, refusal};
///
/// refusal! {
///     /// How reading the body can be refused.
///     pub enum BodyRefusal {
///         /// 400: it breaks rules.
///         Invalid(errors: Vec<FieldError>) => common::INVALID_REQUEST, "the body breaks rules";
///     }
/// }
/// refusal! {
///     /// How an operation can be refused.
///     pub enum BrewRefusal {
///         /// 503: too many brew at once.
///         Busy => common::OVERLOADED, "all kettles are in use";
///         ..Body(BodyRefusal);
///     }
/// }
/// assert_eq!(BrewRefusal::problem_types().len(), 2);
/// assert_eq!(BrewRefusal::Busy.into_problem().problem_type.code, "overloaded");
/// ```
#[macro_export]
macro_rules! refusal {
    (
        $(#[$doc:meta])*
        pub enum $name:ident {
            $(
                $(#[$variant_doc:meta])*
                $variant:ident $( ($payload:ident : $payload_type:ty) )? => $problem_type:path, $detail:literal;
            )*
            $( ..$nested:ident($nested_type:ty); )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {
            $( $(#[$variant_doc])* $variant $( ($payload_type) )?, )*
            $( #[doc = concat!("Everything in [`", stringify!($nested_type), "`].")] $nested($nested_type), )*
        }

        impl $crate::Refusal for $name {
            fn problem_types() -> Vec<&'static $crate::ProblemType> {
                #[allow(unused_mut)]
                let mut types = vec![$( &$problem_type ),*];
                $( types.extend(<$nested_type as $crate::Refusal>::problem_types()); )*
                types
            }

            fn into_problem(self) -> $crate::Problem {
                match self {
                    $( Self::$variant $( ($payload) )? => {
                        let problem = $crate::Problem::new(&$problem_type, $detail);
                        $( let problem = $crate::Attach::attach($payload, problem); )?
                        problem
                    } )*
                    $( Self::$nested(refusal) => $crate::Refusal::into_problem(refusal), )*
                }
            }
        }

        $( impl From<$nested_type> for $name {
            fn from(refusal: $nested_type) -> Self {
                Self::$nested(refusal)
            }
        } )*
    };
}
