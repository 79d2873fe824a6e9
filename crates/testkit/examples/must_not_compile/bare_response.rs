//! A handler that answers by itself.

use actix_web::HttpResponse;
use http_server::operation;

/// Answers.
#[operation(GET "/v1/answer", public)]
async fn answer() -> HttpResponse {
    HttpResponse::Ok().finish()
}

fn main() {}
