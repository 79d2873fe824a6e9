//! Assembles a service: a [`Service`] declares its parts and gets a process with probes, telemetry, graceful shutdown
//! and commands.

mod app;
mod commands;
mod dependencies;
mod platform;
mod process;
mod rules;
mod service;
mod settings;
#[cfg(test)]
mod tests;

pub use self::settings::Settings;
pub use app::{App, Role};
pub use commands::main;
pub use platform::Platform;
pub use process::run;
pub use service::{Service, ServiceBuilder, ServiceDefinition};
