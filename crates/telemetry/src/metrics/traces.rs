//! The counter of dropped spans. It is global because tracing is.

use std::sync::LazyLock;

use prometheus_client::{encoding::EncodeLabelSet, registry::Registry};

use super::Counters;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

static DROPPED: LazyLock<Counters<ReasonLabels>> = LazyLock::new(|| {
    let counters = Counters::default();
    for reason in ["buffer", "queue", "export"] {
        let _ = counters.get_or_create(&ReasonLabels { reason });
    }
    counters
});

/// Counts dropped spans.
pub(crate) fn dropped(reason: &'static str, spans: usize) {
    DROPPED
        .get_or_create(&ReasonLabels { reason })
        .inc_by(spans as u64);
}

pub(super) fn register(registry: &mut Registry) {
    registry.register(
        "telemetry_dropped",
        "Spans dropped before the collector accepted them, by reason",
        DROPPED.clone(),
    );
}
