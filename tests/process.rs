//! The service's binary for tests that kill it; cargo tells a test only of binaries of its own package.

use std::process::ExitCode;

fn main() -> ExitCode {
    platform::main(&api::SERVICE)
}
