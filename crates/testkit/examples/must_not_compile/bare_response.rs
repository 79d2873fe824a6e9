//! A handler that returns a response of the framework instead of a `Result`.

use actix_web::HttpResponse;
use http_server::operation;

/// Returns an empty response.
#[operation(GET "/v1/answer", public)]
async fn answer() -> HttpResponse {
    HttpResponse::Ok().finish()
}

fn main() {}
