//! Successes that say where their resource is.

use std::marker::PhantomData;

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};
use database::idempotency::Answer;
use serde::Serialize;
use utoipa::{PartialSchema, ToSchema, openapi::Header};

use super::{Success, sealed};
use crate::{operations::Description, refused::bug};

/// A success with this status, a JSON body and, in `Location`, where its resource is.
#[derive(Debug)]
pub struct Located<T, const STATUS: u16> {
    location: String,
    body: T,
}

/// 201 with the new resource and where it is.
pub type Created<T> = Located<T, 201>;

/// 202: the work goes on, and its state can be read at `Location`.
pub type Accepted<T> = Located<T, 202>;

impl<T, const STATUS: u16> Located<T, STATUS> {
    /// The resource is at the path `location`.
    pub fn at(location: String, body: T) -> Self {
        Self { location, body }
    }
}

fn location() -> Vec<(&'static str, Header)> {
    vec![("Location", Header::new(String::schema()))]
}

impl<T, const STATUS: u16> sealed::Success for Located<T, STATUS> {}

impl<T: Serialize + ToSchema + 'static, const STATUS: u16> Success for Located<T, STATUS> {
    fn respond(self) -> HttpResponse {
        let status = StatusCode::from_u16(STATUS).expect("201 or 202");
        let mut response = HttpResponse::build(status);
        response.insert_header((header::LOCATION, self.location));
        response.json(self.body)
    }

    fn describe(description: &mut Description) {
        description.json_response::<T>(STATUS, location());
    }
}

/// A success `S` as it was recorded under an idempotency key, by this call or an earlier one: the same to the byte, with
/// `Idempotency-Replayed` on a replay. `S` is [`Created`] or [`Accepted`].
#[derive(Debug)]
pub struct Recorded<S> {
    answer: Answer,
    success: PhantomData<fn() -> S>,
}

impl<S> From<Answer> for Recorded<S> {
    fn from(answer: Answer) -> Self {
        Self {
            answer,
            success: PhantomData,
        }
    }
}

impl<S> sealed::Success for Recorded<S> {}

impl<T: ToSchema + 'static, const STATUS: u16> Success for Recorded<Located<T, STATUS>> {
    fn respond(self) -> HttpResponse {
        let answer = self.answer;
        let status = StatusCode::from_u16(answer.status).ok();
        let Some(status) = status.filter(StatusCode::is_success) else {
            let cause = format!("the status {} was recorded as a success", answer.status);
            return HttpResponse::from_error(bug(cause));
        };
        let mut response = HttpResponse::build(status);
        if let Some(location) = answer.location {
            response.insert_header((header::LOCATION, location));
        }
        if answer.replayed {
            response.insert_header(("Idempotency-Replayed", "true"));
        }
        response.content_type("application/json").body(answer.body)
    }

    fn describe(description: &mut Description) {
        let mut headers = location();
        headers.push(("Idempotency-Replayed", Header::new(bool::schema())));
        description.json_response::<T>(STATUS, headers);
    }
}
