//! An operation that does not say who may call it.

use std::convert::Infallible;

use http_server::{NoContent, operation};

/// Answers.
#[operation(GET "/v1/answer")]
async fn answer() -> Result<NoContent, Infallible> {
    Ok(NoContent)
}

fn main() {}
