//! A refusal that says nothing.

use http_server::Refusal;

/// In no designed way.
#[derive(Debug, Refusal)]
enum AnswerRefusal {
    /// It cannot.
    CannotAnswer,
}

fn main() {}
