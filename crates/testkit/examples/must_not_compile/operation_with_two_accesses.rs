//! An operation that declares its access twice: a scope and `public`.

use std::convert::Infallible;

use http_server::{NoContent, Scope, operation};

struct Answers;

impl Scope for Answers {
    const NAME: &'static str = "answers";
}

/// Returns nothing.
#[operation(GET "/v1/answer", scope = Answers, public)]
async fn answer() -> Result<NoContent, Infallible> {
    Ok(NoContent)
}

fn main() {}
