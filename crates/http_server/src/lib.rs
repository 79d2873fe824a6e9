//! The HTTP server, and the way of a request through it:
//! observe → admit → deadline → identify → extract → handler.

extern crate self as http_server;

pub mod drill;
pub mod extract;
#[cfg(feature = "jobs")]
pub mod jobs;

mod admit;
mod body;
mod deadline;
mod identify;
mod metrics;
mod observe;
mod openapi;
mod operations;
mod pages;
mod quota;
mod rate_limiter;
mod refused;
mod request_ext;
mod routes;
mod routing;
mod server;
mod settings;
mod shared;

pub use self::settings::{FaultSettings, RateLimitSettings, Settings};
pub use auth::{Access, Scope};
pub use macros::{Refusal, operation};
pub use metrics::HttpMetrics;
pub use operations::{
    Accepted, Argument, Arguments, Cached, Conditional, Content, Created, Description, Endpoint, Json,
    Located, MediaType, NoContent, Operation, Operations, Recorded, Success,
};
pub use outcome::Refusal;
pub use pages::Info;
pub use rate_limiter::RateLimiter;
pub(crate) use refused::refuse;
pub(crate) use request_ext::RequestExt;
pub use routes::Routes;
pub use server::{Configure, Contract, Running, bind, listen_public};
pub use shared::Shared;
