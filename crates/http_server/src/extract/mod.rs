//! Extractors: the arguments of a handler, each with its refusals and its part of the `OpenAPI` document. Input that an
//! extractor refuses always ends in a problem response.

mod body;
mod caller;
mod idempotency_key;
mod if_none_match;
mod json;
mod path;
mod query;
mod request;

pub use body::{Body, BodyRefusal};
pub use caller::Caller;
pub use idempotency_key::{IdempotencyKey, KeyRefusal};
pub use if_none_match::IfNoneMatch;
pub(crate) use path::PathValue;
pub use path::{Path, PathParameter, PathParameters, PathRefusal};
pub use query::{Query, QueryRefusal};
pub use request::{Context, State};
pub(crate) use request::{Shared, WantsHtml};
