//! Common parts of service clients: safe retries, waits as long as the service asks for, and errors with the details
//! for a report. The operations and types of a service belong to its own client.

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
