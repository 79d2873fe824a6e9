#![doc = include_str!("../README.md")]

mod catalogue;
mod client_code;
pub mod common;
mod fields;
mod markdown;
mod problem;
mod problem_type;
mod refusal;
pub mod validation;

pub use catalogue::Catalogue;
pub use client_code::catalogue_as_rust;
pub use fields::{FieldError, Location};
pub use markdown::catalogue_as_markdown;
pub use problem::{Cause, Problem, cause_chain};
pub use problem_type::{ErrorStatus, Origin, ProblemType, Retry};
pub use refusal::{Attach, Refusal};
