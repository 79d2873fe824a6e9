//! The management server: probes, metrics, dependencies and fault injection, on a port of its own that is never public
//! and never limited.

mod dependency;
mod faults;
mod probes;
mod reports;
mod server;
mod settings;

pub use dependency::Dependency;
pub use server::{Management, listen};
pub use settings::{ReadinessSettings, Requirement};
