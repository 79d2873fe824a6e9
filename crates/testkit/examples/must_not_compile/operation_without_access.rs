//! An operation that does not declare its access.

use std::convert::Infallible;

use http_server::{NoContent, operation};

/// Returns nothing.
#[operation(GET "/v1/answer")]
async fn answer() -> Result<NoContent, Infallible> {
    Ok(NoContent)
}

fn main() {}
