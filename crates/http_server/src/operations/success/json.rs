//! 200 with JSON.

use std::time::Duration;

use actix_web::{HttpResponse, http::header};
use serde::Serialize;
use utoipa::{PartialSchema, ToSchema, openapi::Header};

use super::{Success, sealed};
use crate::operations::Description;

/// 200 with a JSON body.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T> sealed::Success for Json<T> {}

impl<T: Serialize + ToSchema + 'static> Success for Json<T> {
    fn respond(self) -> HttpResponse {
        HttpResponse::Ok().json(self.0)
    }

    fn describe(description: &mut Description) {
        description.json_response::<T>(200, Vec::new());
    }
}

/// 200 with a JSON body that may be stale; the header `Age` then has its age in seconds.
#[derive(Debug)]
pub struct Cached<T> {
    value: T,
    stale_for: Option<Duration>,
}

impl<T> Cached<T> {
    /// A response with `value`. `stale_for` is its age if it replaces a value that could not be read.
    pub fn new(value: T, stale_for: Option<Duration>) -> Self {
        Self { value, stale_for }
    }
}

impl<T> sealed::Success for Cached<T> {}

impl<T: Serialize + ToSchema + 'static> Success for Cached<T> {
    fn respond(self) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        if let Some(age) = self.stale_for {
            response.insert_header((header::AGE, age.as_secs()));
        }
        response.json(self.value)
    }

    fn describe(description: &mut Description) {
        let age = Header::builder().schema(Some(u64::schema()));
        let age = age.description(Some(
            "Age of the value in seconds; sent only when the database is unavailable",
        ));
        description.json_response::<T>(200, vec![("Age", age.build())]);
    }
}
