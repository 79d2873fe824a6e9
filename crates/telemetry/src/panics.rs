//! Panics are logged once, with their location and backtrace.

use std::{backtrace::Backtrace, cell::RefCell, panic};

thread_local! {
    static LATEST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The backtrace of the latest panic of this thread, once.
pub fn take_panic_backtrace() -> Option<String> {
    LATEST.take()
}

/// Installs a panic hook that logs. Turning the panic into a response is left to the HTTP server.
pub(super) fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("(no message)");
        let location = panic.location().map(ToString::to_string);
        let backtrace = Backtrace::force_capture().to_string();
        tracing::error!(panic = message, location, backtrace, "panicked");
        LATEST.set(Some(backtrace));
    }));
}
