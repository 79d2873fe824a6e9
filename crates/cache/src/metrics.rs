//! Metrics of the read cache.

use prometheus_client::{encoding::EncodeLabelSet, metrics::family::Family};
use telemetry::metrics::{Counters, Metrics};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// Metrics of the read cache.
#[derive(Clone, Debug)]
pub struct CacheMetrics {
    requests: Counters<OutcomeLabels>,
}

impl CacheMetrics {
    /// Registers the metrics.
    pub fn register(all: &Metrics) -> Self {
        let metrics = Self {
            requests: Family::default(),
        };
        all.register(|registry| {
            registry.register(
                "cache_requests",
                "Reads through the cache by outcome",
                metrics.requests.clone(),
            );
        });
        for outcome in ["hit", "miss", "stale"] {
            let _ = metrics.requests.get_or_create(&OutcomeLabels { outcome });
        }
        metrics
    }

    /// Counts a read by its outcome.
    pub fn requested(&self, outcome: &'static str) {
        self.requests.get_or_create(&OutcomeLabels { outcome }).inc();
    }
}
