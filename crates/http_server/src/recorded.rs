//! The answer of an idempotent write on its way out.

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    http::{StatusCode, header},
};
use database::idempotency::Answer;

/// An answer that was recorded, now or by an earlier call: the same to the byte, with `Idempotency-Replayed` on a
/// replay.
#[derive(Debug)]
pub struct Recorded(pub Answer);

impl Responder for Recorded {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let answer = self.0;
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
        let mut response = HttpResponse::build(status);
        if let Some(location) = answer.location {
            response.insert_header((header::LOCATION, location));
        }
        if answer.replayed {
            response.insert_header(("Idempotency-Replayed", "true"));
        }
        response.content_type("application/json").body(answer.body)
    }
}
