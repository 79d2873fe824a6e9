//! Input that the contract does not know.

use std::convert::Infallible;

use actix_web::HttpRequest;
use http_server::{NoContent, operation};

/// Takes everything.
#[operation(POST "/v1/take", public)]
async fn take(_: HttpRequest) -> Result<NoContent, Infallible> {
    Ok(NoContent)
}

fn main() {}
