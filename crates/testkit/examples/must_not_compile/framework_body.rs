//! A body extractor of the framework, which rejects invalid input without a problem.

use std::convert::Infallible;

use actix_web::web;
use http_server::{NoContent, operation};

/// Accepts a body.
#[operation(POST "/v1/take", public)]
async fn take(_: web::Json<String>) -> Result<NoContent, Infallible> {
    Ok(NoContent)
}

fn main() {}
