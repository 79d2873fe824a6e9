#![doc = include_str!("../README.md")]

extern crate self as http_server;

pub mod extract;
pub mod fault_injection;
#[cfg(feature = "jobs")]
pub mod jobs;

mod body;
mod cors;
mod deadline;
mod fallback;
mod identify;
mod load_shedding;
mod metrics;
mod openapi;
mod operations;
mod pages;
mod rate_limiter;
mod refused;
mod request_ext;
mod request_log;
mod routes;
mod server;
mod settings;
mod shared;

pub use self::settings::{FaultSettings, RateLimitSettings, Settings};
pub use auth::{Access, Scope};
pub use connections::{ForwardedHeader, TrustedProxies};
pub use macros::{Refusal, operation};
pub use metrics::HttpMetrics;
pub use operations::{
    Accepted, Argument, Arguments, Cached, Conditional, Content, Created, Description, Endpoint, Json, Link,
    Located, MediaType, NoContent, Operation, Operations, Recorded, Success,
};
pub use outcome::Refusal;
pub use pages::Info;
pub use rate_limiter::RateLimiter;
pub(crate) use refused::refuse;
pub(crate) use request_ext::RequestExt;
pub use routes::Routes;
pub use server::{Configure, Contract, Server, bind, listen_public};
pub use shared::Shared;
