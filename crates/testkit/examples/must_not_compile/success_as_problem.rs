//! A problem with the status of a success.

use outcome::{Actor, ErrorStatus, ProblemType, Retry};

/// The request succeeded.
pub static SUCCESS: ProblemType = ProblemType {
    code: "success",
    status: ErrorStatus::new(200),
    title: "The request succeeded",
    actor: Actor::Caller,
    retry: Retry::Never,
    advice: "Continue.",
    user_message: "The request succeeded.",
    runbook: "Nothing to do.",
};

fn main() {}
