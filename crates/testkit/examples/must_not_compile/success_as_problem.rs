//! A problem type with a success status.

use outcome::{ErrorStatus, Origin, ProblemType, Retry};

/// The request succeeded.
pub static SUCCESS: ProblemType = ProblemType {
    code: "success",
    status: ErrorStatus::new(200),
    title: "The request succeeded",
    origin: Origin::Client,
    retry: Retry::Never,
    advice: "Continue.",
    user_message: "The request succeeded.",
    operator_hint: "Nothing to do.",
};

fn main() {}
