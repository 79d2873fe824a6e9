//! Extractors: what a handler takes, each with its refusals and its part of the contract. A handler that takes its input
//! through them cannot answer bad input with anything but a problem.

mod body;
mod caller;
mod idempotency_key;
mod if_none_match;
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
