//! A framework error as the refusal: it could have any status.

use http_server::{Json, operation};

/// Returns text.
#[operation(GET "/v1/answer", public)]
async fn answer() -> Result<Json<String>, actix_web::Error> {
    Ok(Json("an answer".to_owned()))
}

fn main() {}
