//! The service with the routes and jobs of the tests, as a process that tests can kill: `test-service [work]`.

use std::{path::Path, process::ExitCode};

use api::service::DEFAULT_TOML;
use platform::{Role, config};

fn main() -> ExitCode {
    let role = if std::env::args().any(|argument| argument == "work") {
        Role::Worker
    } else {
        Role::Both
    };
    let settings = config::load(DEFAULT_TOML, Path::new("/nonexistent")).valid();
    match settings.and_then(|settings| platform::run(settings, testkit::SERVICE, role)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
