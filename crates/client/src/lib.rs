//! The typed client of the api service: retries only what is safe, waits as long as it is told, and its errors
//! say what belongs into a report.

mod call;
mod code;
mod error;
mod operations;
mod settings;
mod types;

pub use code::ProblemCode;
pub use error::{Attempt, Error, Failure, FieldError, Problem};
pub use operations::{Client, Fetched};
pub use settings::Settings;
pub use types::{Accepted, Delivery, Item, Job, NewOrder, Order, OrderPage, Quote, QuoteItem};
