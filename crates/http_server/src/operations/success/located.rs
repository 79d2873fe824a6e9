//! Successes with the location of their resource.

use std::marker::PhantomData;

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};
use database::idempotency::RecordedResponse;
use serde::Serialize;
use utoipa::{PartialSchema, ToSchema, openapi::Header};

use super::{Success, sealed};
use crate::{operations::Description, refused::internal};

/// A success with this status, a JSON body and the path of its resource in `Location`.
#[derive(Debug)]
pub struct Located<T, const STATUS: u16> {
    location: String,
    body: T,
}

/// 201 with the new resource and its `Location`.
pub type Created<T> = Located<T, 201>;

/// 202: the work continues in the background, and its state can be read at `Location`.
pub type Accepted<T> = Located<T, 202>;

impl<T, const STATUS: u16> Located<T, STATUS> {
    /// A success whose resource is at the path `location`.
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

/// The success `S` as recorded under an idempotency key, by this request or an earlier one: identical byte for byte,
/// with `Idempotency-Replayed` on a replay. `S` is [`Created`] or [`Accepted`].
#[derive(Debug)]
pub struct Recorded<S> {
    recorded: RecordedResponse,
    success: PhantomData<fn() -> S>,
}

impl<S> From<RecordedResponse> for Recorded<S> {
    fn from(recorded: RecordedResponse) -> Self {
        Self {
            recorded,
            success: PhantomData,
        }
    }
}

impl<S> sealed::Success for Recorded<S> {}

impl<T: ToSchema + 'static, const STATUS: u16> Success for Recorded<Located<T, STATUS>> {
    fn respond(self) -> HttpResponse {
        let recorded = self.recorded;
        let status = StatusCode::from_u16(recorded.status).ok();
        let Some(status) = status.filter(StatusCode::is_success) else {
            let cause = format!("the status {} was recorded as a success", recorded.status);
            return HttpResponse::from_error(internal(cause));
        };
        let mut response = HttpResponse::build(status);
        if let Some(location) = recorded.location {
            response.insert_header((header::LOCATION, location));
        }
        if recorded.replayed {
            response.insert_header(("Idempotency-Replayed", "true"));
        }
        response.content_type("application/json").body(recorded.body)
    }

    fn describe(description: &mut Description) {
        let mut headers = location();
        headers.push(("Idempotency-Replayed", Header::new(bool::schema())));
        description.json_response::<T>(STATUS, headers);
    }
}
