//! The notes service as a process that tests can kill.

use std::process::ExitCode;

fn main() -> ExitCode {
    platform::main(&testkit::notes::SERVICE)
}
