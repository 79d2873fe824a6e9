//! Common parts of service clients: safe retries, waits as long as the service asks for, and errors with the details
//! for a report. The operations and types of a service belong to its own client.

mod call;
mod caller;
mod code;
mod error;
mod key;
mod settings;
mod token;

pub use caller::{Caller, Fetched, Sent};
pub use code::ProblemCode;
pub use error::{Attempt, Error, Failure, FieldError, Outcome, Problem};
pub use key::Key;
pub use reqwest::Method;
pub use settings::Settings;
pub use token::TokenProvider;
