//! Framework state as an argument: a missing state would only be noticed at run time.

use std::convert::Infallible;

use actix_web::web;
use http_server::{NoContent, operation};

/// Reads a state.
#[operation(POST "/v1/take", public)]
async fn take(_: web::Data<String>) -> Result<NoContent, Infallible> {
    Ok(NoContent)
}

fn main() {}
