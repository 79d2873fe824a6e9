//! What a request can end in.
//!
//! A [`ProblemType`] is one row of the catalogue: code, status, who has to act, whether to try again.
//! A [`Refusal`] is one operation's enum of all the ways it can be refused, each tied to a problem type
//! in its declaration. A [`Problem`] is one occurrence, ready to be rendered as RFC 9457
//! `application/problem+json`.
//!
//! This crate does no I/O and knows no web framework.

mod catalogue;
mod client_code;
pub mod common;
mod fields;
pub mod input;
mod markdown;
mod problem;
mod problem_type;
mod refusal;

pub use catalogue::Catalogue;
pub use client_code::catalogue_as_rust;
pub use fields::{FieldError, Location};
pub use markdown::catalogue_as_markdown;
pub use problem::{Cause, Problem};
pub use problem_type::{Actor, ErrorStatus, ProblemType, Retry};
pub use refusal::{Attach, Refusal};
