//! What every service needs: configuration, telemetry, lifecycle, health, Postgres, Redis, HTTP.
//!
//! Nothing here knows of any particular resource.

mod app;
pub mod config;
pub mod context;
pub mod drill;
pub mod http;
pub mod idempotency;
pub mod jobs;
pub mod lifecycle;
mod macros;
pub mod postgres;
mod process;
pub mod redis;
mod service;
pub mod telemetry;
pub mod upstream;

pub use app::{App, Role};
pub use process::run;
pub use service::{Platform, Service};
