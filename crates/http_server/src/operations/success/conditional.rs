//! 304 when the client has the current version.

use actix_web::{
    HttpResponse,
    http::header::{ETAG, EntityTag},
};
use utoipa::{
    PartialSchema,
    openapi::{Header, ResponseBuilder},
};

use super::{Success, sealed};
use crate::{
    extract::IfNoneMatch,
    operations::{Description, description::with_headers},
};

/// The success `S` with the version of its resource as a weak entity tag in `ETag`, or 304 without a body when the
/// client has that version (RFC 9110, sections 13.1.2 and 15.4.5).
#[derive(Debug)]
pub struct Conditional<S> {
    version: EntityTag,
    changed: Option<S>,
}

impl<S> Conditional<S> {
    /// `success`, unless `known` contains this version of the resource.
    pub fn new(known: &IfNoneMatch, version: i64, success: S) -> Self {
        let version = EntityTag::new_weak(version.to_string());
        let changed = (!known.contains(&version)).then_some(success);
        Self { version, changed }
    }
}

impl<S> sealed::Success for Conditional<S> {}

impl<S: Success> Success for Conditional<S> {
    fn respond(self) -> HttpResponse {
        let mut response = match self.changed {
            Some(success) => success.respond(),
            None => HttpResponse::NotModified().finish(),
        };
        let version = self.version.to_string();
        let version = version.parse().expect("a number in quotes is a header value");
        response.headers_mut().insert(ETAG, version);
        response
    }

    fn describe(description: &mut Description) {
        let etag = || {
            Header::builder()
                .schema(Some(String::schema()))
                .description(Some("The version of the resource, as a weak entity tag"))
        };
        S::describe(description);
        description.response_header("ETag", etag().build());
        let not_modified = ResponseBuilder::new();
        description.response(304, with_headers(not_modified, vec![("ETag", etag().build())]));
    }
}
