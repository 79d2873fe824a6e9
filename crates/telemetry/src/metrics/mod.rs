//! Metrics under the names of the OpenTelemetry semantic conventions, in OpenMetrics text.
//! Each process part has its own group; every label has a bounded set of values.

mod dependencies;
mod http;
mod jobs;
mod traces;

pub use dependencies::{CacheMetrics, DependencyMetrics, PoolMetrics, RetryMetrics};
pub use http::HttpMetrics;
pub use jobs::JobMetrics;
pub(crate) use traces::dropped;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// The media type of [`Metrics::encode`].
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bucket bounds in seconds, as the semantic conventions advise for durations of requests.
const SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

type Counters<L> = Family<L, Counter>;

/// All metrics of this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Requests and answers.
    pub http: HttpMetrics,
    /// The Postgres pool.
    pub pool: PoolMetrics,
    /// Retries of any dependency.
    pub retries: RetryMetrics,
    /// Calls of any dependency.
    pub dependencies: DependencyMetrics,
    /// The read cache.
    pub cache: CacheMetrics,
    /// Jobs.
    pub jobs: JobMetrics,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    service: String,
    version: String,
}

impl Metrics {
    /// All metrics, for a service of this name and version.
    pub fn new(service: &str, version: &str) -> Self {
        let mut registry = Registry::default();
        let build = Family::<BuildLabels, Gauge>::default();
        registry.register("build_info", "Always 1; the labels tell what runs", build.clone());
        build
            .get_or_create(&BuildLabels {
                service: service.to_owned(),
                version: version.to_owned(),
            })
            .set(1);
        traces::register(&mut registry);
        Self {
            http: HttpMetrics::register(&mut registry),
            pool: PoolMetrics::register(&mut registry),
            retries: RetryMetrics::register(&mut registry),
            dependencies: DependencyMetrics::register(&mut registry),
            cache: CacheMetrics::register(&mut registry),
            jobs: JobMetrics::register(&mut registry),
            registry,
        }
    }

    /// The exposition, in OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
