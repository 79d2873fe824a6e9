//! A framework response as the success: it could have any status.

use std::convert::Infallible;

use actix_web::HttpResponse;
use http_server::operation;

/// Returns an empty response.
#[operation(GET "/v1/answer", public)]
async fn answer() -> Result<HttpResponse, Infallible> {
    Ok(HttpResponse::Ok().finish())
}

fn main() {}
