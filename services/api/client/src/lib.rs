//! The typed client of the api service.

mod code;
mod operations;
mod types;

pub use client::{Attempt, Fetched, FieldError, Key, Settings, TokenProvider};
pub use code::ProblemCode;
pub use operations::Client;
pub use types::{Accepted, Delivery, Item, Job, NewOrder, Order, OrderPage, Quote, QuoteItem};

/// The error of a call, after its last attempt.
pub type Error = client::Error<ProblemCode>;
/// Why an attempt failed.
pub type Failure = client::Failure<ProblemCode>;
/// A problem (RFC 9457) of the service.
pub type Problem = client::Problem<ProblemCode>;
