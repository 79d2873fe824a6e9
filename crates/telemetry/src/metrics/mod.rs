//! Metrics with names from the OpenTelemetry semantic conventions, in `OpenMetrics` text. Each crate registers its own
//! group; every label has a bounded set of values.

mod dependencies;
#[cfg(target_os = "linux")]
mod process;
mod traces;

pub use dependencies::{DependencyMetrics, RetryMetrics};
pub(crate) use traces::{count_dropped_lines, dropped};

use std::sync::{Mutex, PoisonError};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// The media type of [`Metrics::encode`].
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bucket bounds in seconds, as the semantic conventions advise for request durations.
pub const SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// A histogram with the bounds [`SECONDS`].
pub fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

/// Counters by their labels.
pub type Counters<L> = Family<L, Counter>;

/// All metrics of this process: the groups that crates register, and those that crates share.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Metrics of retries by dependency.
    pub retries: RetryMetrics,
    /// Metrics of calls by dependency.
    pub dependencies: DependencyMetrics,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    service: String,
    version: String,
    revision: String,
}

impl Metrics {
    /// The metrics of a service of this name, version and git revision.
    pub fn new(service: &str, version: &str, revision: Option<&str>) -> Self {
        let mut registry = Registry::default();
        let build = Family::<BuildLabels, Gauge>::default();
        registry.register(
            "build_info",
            "Always 1; the labels are the service, its version and its git revision",
            build.clone(),
        );
        build
            .get_or_create(&BuildLabels {
                service: service.to_owned(),
                version: version.to_owned(),
                revision: revision.unwrap_or_default().to_owned(),
            })
            .set(1);
        traces::register(&mut registry);
        #[cfg(target_os = "linux")]
        registry.register_collector(Box::new(process::ProcessMetrics));
        Self {
            retries: RetryMetrics::register(&mut registry),
            dependencies: DependencyMetrics::register(&mut registry),
            registry: Mutex::new(registry),
        }
    }

    /// Registers a group of metrics.
    pub fn register(&self, group: impl FnOnce(&mut Registry)) {
        group(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Encodes all metrics as `OpenMetrics` text.
    pub fn encode(&self) -> String {
        traces::update_dropped_lines();
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(
            &mut text,
            &self.registry.lock().unwrap_or_else(PoisonError::into_inner),
        );
        text
    }
}
