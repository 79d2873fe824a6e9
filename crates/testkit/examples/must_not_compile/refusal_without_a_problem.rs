//! A refusal without a problem type.

use http_server::Refusal;

/// Refusals of an operation.
#[derive(Debug, Refusal)]
enum AnswerRefusal {
    /// There is no answer.
    CannotAnswer,
}

fn main() {}
