//! The authenticated caller.

use std::future::{Ready, ready};

use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, dev::Payload};
use auth::{AuthRefusal, Claims};

use crate::{
    operations::{Argument, Description, sealed_argument as sealed},
    refuse,
};

/// The authenticated caller. The token is verified and its scope enforced before the handler runs.
#[derive(Clone)]
pub struct Caller {
    /// The subject (`sub`) of the caller's token.
    pub subject: String,
}

impl FromRequest for Caller {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let subject = request
            .extensions()
            .get::<Claims>()
            .map(|claims| claims.subject().to_owned());
        let caller = subject.map(|subject| Self { subject });
        ready(caller.ok_or_else(|| refuse(AuthRefusal::no_token())))
    }
}

impl sealed::Argument for Caller {}

impl Argument for Caller {
    fn describe(description: &mut Description) {
        description.caller();
    }
}
