//! Metrics of jobs, from the wrapper around them.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::Unit,
};
use telemetry::metrics::{Counters, Metrics};

/// How an attempt can end.
const OUTCOMES: [&str; 8] = [
    "succeeded",
    "retried",
    "failed",
    "dead",
    "postponed",
    "released",
    "fenced",
    "unpersisted",
];

/// Bucket bounds in seconds: jobs take longer than requests may.
fn seconds() -> Histogram {
    Histogram::new([
        0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
    ])
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    // Not `job`: that is what Prometheus calls whom it scrapes.
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    kind: &'static str,
    outcome: &'static str,
}

/// Jobs: how many wait, how each attempt ended.
#[derive(Clone, Debug)]
pub struct JobMetrics {
    started: Counters<KindLabels>,
    finished: Counters<OutcomeLabels>,
    duration: Family<KindLabels, Histogram, fn() -> Histogram>,
    queued: Gauge,
    dead: Gauge,
    oldest: Gauge<f64, std::sync::atomic::AtomicU64>,
}

impl JobMetrics {
    /// Registers the group.
    pub fn register(all: &Metrics) -> Self {
        let metrics = Self {
            started: Family::default(),
            finished: Family::default(),
            duration: Family::new_with_constructor(seconds as fn() -> Histogram),
            queued: Gauge::default(),
            dead: Gauge::default(),
            oldest: Gauge::default(),
        };
        all.register(|registry| {
            registry.register("jobs_started", "Attempts that began", metrics.started.clone());
            registry.register("jobs_finished", "Attempts by outcome", metrics.finished.clone());
            registry.register_with_unit(
                "jobs_duration",
                "Time of an attempt",
                Unit::Seconds,
                metrics.duration.clone(),
            );
            registry.register("jobs_queued", "Jobs that wait", metrics.queued.clone());
            registry.register("jobs_dead", "Jobs that are out of attempts", metrics.dead.clone());
            registry.register_with_unit(
                "jobs_oldest",
                "Time that the oldest due job has waited",
                Unit::Seconds,
                metrics.oldest.clone(),
            );
        });
        metrics
    }

    /// Creates the counters of a kind of job at 0.
    pub fn announce(&self, kind: &'static str) {
        let _ = self.started.get_or_create(&KindLabels { kind });
        let _ = self.duration.get_or_create(&KindLabels { kind });
        for outcome in OUTCOMES {
            let _ = self.finished.get_or_create(&OutcomeLabels { kind, outcome });
        }
    }

    pub(crate) fn started(&self, kind: &'static str) {
        self.started.get_or_create(&KindLabels { kind }).inc();
    }

    /// Dead without an attempt.
    pub(crate) fn buried(&self, kind: &'static str) {
        let outcome = "dead";
        self.finished
            .get_or_create(&OutcomeLabels { kind, outcome })
            .inc();
    }

    pub(crate) fn finished(&self, kind: &'static str, outcome: &'static str, took: Duration) {
        self.finished
            .get_or_create(&OutcomeLabels { kind, outcome })
            .inc();
        self.duration
            .get_or_create(&KindLabels { kind })
            .observe(took.as_secs_f64());
    }

    pub(crate) fn set_counts(&self, queued: i64, dead: i64, oldest_seconds: f64) {
        self.queued.set(queued);
        self.dead.set(dead);
        self.oldest.set(oldest_seconds);
    }
}
