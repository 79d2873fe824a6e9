//! The codes that identify a problem type to a client.

use std::fmt::{Debug, Display};

use serde::de::DeserializeOwned;

/// The codes of a service's problems: an enum that `api problems --rust` generates from its catalogue.
pub trait ProblemCode: Clone + Debug + Display + DeserializeOwned + Send + 'static {
    /// A sentence to show to an end user.
    fn user_message(&self) -> &'static str;
}
