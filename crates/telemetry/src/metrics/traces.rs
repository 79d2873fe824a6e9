//! Spans that are lost. Traces belong to the process, so this counter does too.

use std::sync::LazyLock;

use prometheus_client::{encoding::EncodeLabelSet, registry::Registry};

use super::Counters;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

static DROPPED: LazyLock<Counters<ReasonLabels>> = LazyLock::new(|| {
    let counters = Counters::default();
    for reason in ["held", "queue", "export"] {
        let _ = counters.get_or_create(&ReasonLabels { reason });
    }
    counters
});

/// Counts spans that were lost.
pub(crate) fn dropped(reason: &'static str, spans: usize) {
    DROPPED
        .get_or_create(&ReasonLabels { reason })
        .inc_by(spans as u64);
}

pub(super) fn register(registry: &mut Registry) {
    registry.register(
        "telemetry_dropped",
        "Spans that were lost, by reason",
        DROPPED.clone(),
    );
}
