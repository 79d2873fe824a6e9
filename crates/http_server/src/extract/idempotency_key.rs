//! The header `Idempotency-Key`.

use std::{
    future::{Ready, ready},
    time::Duration,
};

use actix_web::{Error, FromRequest, HttpRequest, dev::Payload};
use database::idempotency::{Effect, Target};
use macros::Refusal;
use outcome::{FieldError, Location, Refusal as _, common};
use serde::Serialize;
use utoipa::{
    PartialSchema,
    openapi::{
        Required,
        path::{ParameterBuilder, ParameterIn},
    },
};

use crate::{
    extract::Caller,
    operations::{Argument, Description, sealed_argument as sealed},
    refuse,
    routes::Served,
};

/// How an idempotency key can be refused.
#[derive(Debug, Refusal)]
pub enum KeyRefusal {
    /// 400: there is none.
    #[problem(
        common::IDEMPOTENCY_KEY_MISSING,
        "this operation needs an Idempotency-Key header"
    )]
    Missing,
    /// 400: not 1 to 255 visible ASCII characters.
    #[problem(common::INVALID_REQUEST, "a header breaks rules")]
    Invalid(FieldError),
}

/// The caller's name for one intended effect on what the path names.
pub struct IdempotencyKey(Target);

impl IdempotencyKey {
    /// The effect that `caller` intends with this body, on the resource that the path names.
    pub fn effect(&self, caller: &Caller, body: &impl Serialize, retention: Duration) -> Effect {
        Effect::new(&caller.subject, &self.0, body, retention)
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
        // Two of them would name two effects.
        let value = Some(value).filter(|_| values.next().is_none());
        let key = value
            .and_then(|value| value.to_str().ok())
            .filter(|key| (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
        let Some(key) = key else {
            let location = Location::Header("Idempotency-Key");
            let detail = "must be one, of 1 to 255 visible ASCII characters";
            let error = FieldError::new(location, "length", detail);
            return ready(Err(refuse(KeyRefusal::Invalid(error))));
        };
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
        let parameter = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some(
                "1 to 255 visible ASCII characters, fresh for each intended effect",
            ))
            .schema(Some(String::schema()));
        description.parameter(parameter.build());
        description.refusals(&KeyRefusal::problem_types());
    }
}
