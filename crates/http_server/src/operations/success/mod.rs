//! The successes that a handler can return.

mod conditional;
mod content;
mod json;
mod located;

pub use conditional::Conditional;
pub use content::{Content, MediaType};
pub use json::{Cached, Json};
pub use located::{Accepted, Created, Located, Recorded};

use actix_web::HttpResponse;
use utoipa::openapi::ResponseBuilder;

use super::Description;

/// A success that a handler can return. Its type determines the status, the body and the headers.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a success of an operation",
    label = "not a success",
    note = "return `Json`, `Cached`, `Created`, `Accepted`, `NoContent`, `Recorded`, `Conditional` or `Content` of \
            `http_server`",
    note = "a response that a handler builds itself could be an error without a problem"
)]
pub trait Success: sealed::Success + 'static {
    /// Builds the response.
    #[doc(hidden)]
    fn respond(self) -> HttpResponse;

    /// Adds the response to the OpenAPI document.
    #[doc(hidden)]
    fn describe(description: &mut Description);
}

pub(crate) mod sealed {
    pub trait Success {}
}

/// 204 without a body.
#[derive(Debug)]
pub struct NoContent;

impl sealed::Success for NoContent {}

impl Success for NoContent {
    fn respond(self) -> HttpResponse {
        HttpResponse::NoContent().finish()
    }

    fn describe(description: &mut Description) {
        description.response(204, ResponseBuilder::new());
    }
}
