//! The log of the test process, captured in memory.

use std::{
    io::Write,
    sync::{Mutex, Once, PoisonError},
};

use platform::Settings;
use serde_json::Value;
use telemetry::{Identity, LogFormat};

const IDENTITY: Identity<'_> = Identity {
    service: "test",
    version: "0.1.0",
    revision: Some("0123456789ab"),
    environment: "development",
};

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static START: Once = Once::new();

struct Writer;

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Starts the production telemetry, once per process, with its log captured in memory.
pub(crate) fn start(settings: &Settings) {
    START.call_once(|| {
        let mut log = settings.log.clone();
        log.format = LogFormat::Json;
        let telemetry = telemetry::init(&IDENTITY, &log, &settings.telemetry, || Writer);
        std::mem::forget(telemetry.expect("telemetry starts"));
        // A failed assertion is a panic too, and its message must reach the developer.
        let to_log = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            to_log(panic);
            eprintln!("{panic}");
        }));
    });
}

/// Every line that this process has logged so far.
pub fn log_lines() -> String {
    String::from_utf8_lossy(&LOG.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}

/// The log lines that contain `needle`, such as a request id, parsed as JSON.
pub fn log_lines_of(needle: &str) -> Vec<Value> {
    let lines = log_lines();
    let lines = lines.lines().filter(|line| line.contains(needle));
    lines
        .map(|line| serde_json::from_str(line).expect("log lines are JSON"))
        .collect()
}
