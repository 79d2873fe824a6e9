//! What every client needs: it retries only what is safe, waits as long as the service asks, and its errors say what
//! belongs into a report. The operations and types of a service are its own.

mod call;
mod caller;
mod code;
mod error;
mod settings;

pub use caller::{Caller, Fetched, Sent};
pub use code::ProblemCode;
pub use error::{Attempt, Error, Failure, FieldError, Problem};
pub use reqwest::Method;
pub use settings::Settings;
