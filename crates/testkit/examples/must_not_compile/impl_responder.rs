//! A handler whose return type does not show which responses are possible.

use actix_web::Responder;
use http_server::operation;

/// Returns text.
#[operation(GET "/v1/answer", public)]
async fn answer() -> impl Responder {
    "an answer"
}

fn main() {}
