//! The management server: probes, metrics, dependencies and fault injection, on a separate port that is never public
//! and has no limits.

mod dependency;
mod faults;
mod probes;
mod reports;
mod server;
mod settings;

pub use dependency::Dependency;
pub use server::{Management, listen};
pub use settings::{ReadinessSettings, Requirement};
