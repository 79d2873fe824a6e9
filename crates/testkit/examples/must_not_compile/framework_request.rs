//! A framework request as an argument: the contract cannot describe this input.

use std::convert::Infallible;

use actix_web::HttpRequest;
use http_server::{NoContent, operation};

/// Accepts any request.
#[operation(POST "/v1/take", public)]
async fn take(_: HttpRequest) -> Result<NoContent, Infallible> {
    Ok(NoContent)
}

fn main() {}
