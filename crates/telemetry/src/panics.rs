//! Panics go to the log, once, with where they came from.

use std::{backtrace::Backtrace, panic};

/// Replaces the panic hook. The answer to the caller is the panic net's business.
pub(super) fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("(no message)");
        let location = panic.location().map(ToString::to_string);
        let backtrace = Backtrace::force_capture();
        tracing::error!(panic = message, location, backtrace = %backtrace, "panicked");
    }));
}
