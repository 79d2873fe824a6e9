//! The binary as an operator meets it: commands, exit codes, signals.

mod collectors;
mod commands;
mod drain;

use testkit::Environment;

async fn environment() -> Environment {
    Environment::new(env!("CARGO_BIN_EXE_api")).await
}
