//! The binary of the service, for tests that kill it: Cargo gives a test only the paths of binaries in its package.

use std::process::ExitCode;

fn main() -> ExitCode {
    platform::main(&api::SERVICE)
}
