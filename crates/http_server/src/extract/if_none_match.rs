//! The header `If-None-Match`.

use std::{
    convert::Infallible,
    future::{Ready, ready},
};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{self, EntityTag, Header as _},
};
use utoipa::{PartialSchema, openapi::Required};

use crate::operations::{Argument, Description, sealed_argument as sealed};

/// The versions that the client already has, for [`Conditional`](crate::Conditional). A header that cannot be parsed
/// counts as absent: the client gets the whole response.
#[derive(Debug)]
pub struct IfNoneMatch(header::IfNoneMatch);

impl IfNoneMatch {
    /// Whether the client has this version.
    pub(crate) fn contains(&self, version: &EntityTag) -> bool {
        match &self.0 {
            header::IfNoneMatch::Any => true,
            header::IfNoneMatch::Items(known) => known.iter().any(|known| known.weak_eq(version)),
        }
    }
}

impl FromRequest for IfNoneMatch {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let known = header::IfNoneMatch::parse(request);
        ready(Ok(Self(known.unwrap_or(header::IfNoneMatch::Items(Vec::new())))))
    }
}

impl sealed::Argument for IfNoneMatch {}

impl Argument for IfNoneMatch {
    fn describe(description: &mut Description) {
        let meaning = "The `ETag` of the version that the client already has";
        description.header("If-None-Match", Required::False, meaning, String::schema());
    }
}
