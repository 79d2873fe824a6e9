//! The header `Idempotency-Key`.

use std::{
    future::{Ready, ready},
    time::Duration,
};

use actix_web::{Error, FromRequest, HttpRequest, dev::Payload};
use database::idempotency::{IdempotentRequest, Target};
use macros::Refusal;
use outcome::{FieldError, Location, Refusal as _, common};
use serde::Serialize;
use utoipa::openapi::{Object, Required, Type};

use crate::{
    RequestExt,
    extract::Caller,
    operations::{Argument, Description, sealed_argument as sealed},
    refuse,
    routes::Served,
};

/// The ways an idempotency key can be refused.
#[derive(Debug, Refusal)]
pub enum KeyRefusal {
    /// 400: the header is missing.
    #[problem(
        common::IDEMPOTENCY_KEY_MISSING,
        "this operation needs an Idempotency-Key header"
    )]
    Missing,
    /// 400: the header is repeated or is not 1 to 255 visible ASCII characters.
    #[problem(common::INVALID_REQUEST, "a header failed validation")]
    Invalid(FieldError),
}

/// The client's name for one intended effect on the resource in the path.
pub struct IdempotencyKey(Target);

impl IdempotencyKey {
    /// The effect that `caller` intends with this body on the resource in the path. The recorded response is kept for
    /// `retention`.
    pub fn request(&self, caller: &Caller, body: &impl Serialize, retention: Duration) -> IdempotentRequest {
        IdempotentRequest::new(&caller.subject, &self.0, body, retention)
    }
}

impl FromRequest for IdempotencyKey {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut values = request.headers().get_all("idempotency-key");
        let Some(value) = values.next() else {
            return ready(Err(refuse(KeyRefusal::Missing)));
        };
        // Two keys would name two effects.
        let value = Some(value).filter(|_| values.next().is_none());
        let key = value
            .and_then(|value| value.to_str().ok())
            .filter(|key| (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
        let Some(key) = key else {
            let location = Location::Header("Idempotency-Key");
            let detail = "must be a single value of 1 to 255 visible ASCII characters";
            let error = FieldError::new(location, "length", detail);
            return ready(Err(refuse(KeyRefusal::Invalid(error))));
        };
        let hashed = request.shared().authenticator.hash().of(key);
        request.context().set_idempotency_key(hashed);
        ready(Ok(Self(Target {
            route: format!("{} {}", request.method(), Served::of(request).template),
            path_values: super::path::values(request).unwrap_or_default(),
            key: key.to_owned(),
        })))
    }
}

impl sealed::Argument for IdempotencyKey {}

impl Argument for IdempotencyKey {
    fn describe(description: &mut Description) {
        let meaning =
            "1 to 255 visible ASCII characters: one key per intended effect, repeated on each retry";
        let schema = Object::builder()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(255))
            .pattern(Some("^[!-~]+$"));
        description.header("Idempotency-Key", Required::True, meaning, schema.build());
        description.refusals(&KeyRefusal::problem_types());
    }
}
