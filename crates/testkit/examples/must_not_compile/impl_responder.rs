//! A handler that does not say how it answers.

use actix_web::Responder;
use http_server::operation;

/// Answers.
#[operation(GET "/v1/answer", public)]
async fn answer() -> impl Responder {
    "an answer"
}

fn main() {}
