//! The counter of dropped spans and log lines. It is global because tracing is.

use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use prometheus_client::{encoding::EncodeLabelSet, registry::Registry};
use tracing_appender::non_blocking::ErrorCounter;

use super::Counters;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

static DROPPED: LazyLock<Counters<ReasonLabels>> = LazyLock::new(|| {
    let counters = Counters::default();
    for reason in ["buffer", "queue", "export", LOG] {
        let _ = counters.get_or_create(&ReasonLabels { reason });
    }
    counters
});

/// The reason of log lines that were dropped because the reader of the log is too slow.
const LOG: &str = "log";

/// The library's counter of dropped log lines, and how many of them are counted already.
static LINES: OnceLock<(ErrorCounter, Mutex<usize>)> = OnceLock::new();

/// Takes the dropped lines of this counter into the metric.
pub(crate) fn count_dropped_lines(counter: ErrorCounter) {
    let _ = LINES.set((counter, Mutex::default()));
}

/// Counts the lines that were dropped since the last call.
pub(super) fn update_dropped_lines() {
    if let Some((counter, counted)) = LINES.get() {
        let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
        let all = counter.dropped_lines();
        dropped(LOG, all.saturating_sub(*counted));
        *counted = all;
    }
}

/// Counts dropped spans.
pub(crate) fn dropped(reason: &'static str, spans: usize) {
    DROPPED
        .get_or_create(&ReasonLabels { reason })
        .inc_by(spans as u64);
}

pub(super) fn register(registry: &mut Registry) {
    registry.register(
        "telemetry_dropped",
        "Spans dropped before the collector accepted them, and log lines that were not written, by reason",
        DROPPED.clone(),
    );
}
