//! Panics are logged once, with their location and backtrace.

use std::{backtrace::Backtrace, panic};

/// Installs a panic hook that logs. Turning the panic into a response is left to the HTTP server.
pub(super) fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("(no message)");
        let location = panic.location().map(ToString::to_string);
        let backtrace = Backtrace::force_capture();
        tracing::error!(panic = message, location, backtrace = %backtrace, "panicked");
    }));
}
