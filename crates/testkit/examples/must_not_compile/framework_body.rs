//! A body that the framework refuses without a problem.

use std::convert::Infallible;

use actix_web::web;
use http_server::{NoContent, operation};

/// Takes a body.
#[operation(POST "/v1/take", public)]
async fn take(_: web::Json<String>) -> Result<NoContent, Infallible> {
    Ok(NoContent)
}

fn main() {}
