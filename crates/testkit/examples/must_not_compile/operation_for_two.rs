//! An operation that says twice who may call it.

use std::convert::Infallible;

use http_server::{NoContent, Scope, operation};

struct Answers;

impl Scope for Answers {
    const NAME: &'static str = "answers";
}

/// Answers.
#[operation(GET "/v1/answer", scope = Answers, public)]
async fn answer() -> Result<NoContent, Infallible> {
    Ok(NoContent)
}

fn main() {}
