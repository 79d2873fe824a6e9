//! Puts the parts together: a [`Service`] says what it is made of, and gets a process with probes, telemetry, graceful
//! shutdown and commands.

mod app;
mod commands;
mod dependencies;
mod parts;
mod process;
mod rules;
mod service;
mod settings;
#[cfg(test)]
mod tests;

pub use self::settings::Settings;
pub use app::{App, Role};
pub use commands::main;
pub use parts::Platform;
pub use process::run;
pub use service::{Definition, Service, ServiceBuilder};
