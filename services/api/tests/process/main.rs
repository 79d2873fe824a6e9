//! The binary as an operator uses it: commands, exit codes, signals.

#![expect(
    clippy::disallowed_methods,
    reason = "a test ends with its tasks and connects to itself"
)]

mod collectors;
mod commands;
mod drain;

use testkit::ProcessEnvironment;

async fn environment() -> ProcessEnvironment {
    ProcessEnvironment::new(env!("CARGO_BIN_EXE_api")).await
}
