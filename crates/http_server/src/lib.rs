//! The HTTP server, and the way of a request through it:
//! observe → admit → deadline → authenticate → quota → extract → handler.

pub mod auth;
pub mod drill;
pub mod extract;
#[cfg(feature = "jobs")]
pub mod jobs;
mod macros;
pub mod openapi;

mod admit;
mod body;
mod catalogue_pages;
mod deadline;
mod input_errors;
mod management;
mod metrics;
mod observe;
mod quota;
mod rate_limiter;
mod recorded;
mod refused;
mod routes;
mod routing;
mod server;
mod settings;
mod shared;

pub use self::settings::{
    Algorithm, AuthSettings, DEVELOPMENT_SECRET, FaultSettings, RateLimitSettings, ReadinessSettings,
    Requirement, Settings,
};
pub use catalogue_pages::Info;
pub use management::{Dependency, Management};
pub use metrics::HttpMetrics;
pub use rate_limiter::RateLimiter;
pub use recorded::Recorded;
pub use refused::{Refused, refuse};
pub use routes::{Routes, UNMATCHED};
pub use server::{Configure, Contract, Running, listen_management, listen_public};
pub use shared::Shared;

#[doc(hidden)]
pub use ::{actix_web, outcome, utoipa};
