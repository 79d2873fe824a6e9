//! A refusal that could be anything.

use http_server::{Json, operation};

/// Answers.
#[operation(GET "/v1/answer", public)]
async fn answer() -> Result<Json<String>, actix_web::Error> {
    Ok(Json("an answer".to_owned()))
}

fn main() {}
