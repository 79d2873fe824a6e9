//! A state that is missed at run time alone.

use std::convert::Infallible;

use actix_web::web;
use http_server::{NoContent, operation};

/// Takes a state.
#[operation(POST "/v1/take", public)]
async fn take(_: web::Data<String>) -> Result<NoContent, Infallible> {
    Ok(NoContent)
}

fn main() {}
