//! Metrics of jobs, from the wrapper around them.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::{Counters, seconds};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabels {
    job: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    job: &'static str,
    outcome: &'static str,
}

/// Jobs: how many wait, how each attempt ended.
#[derive(Debug)]
pub struct JobMetrics {
    started: Counters<JobLabels>,
    finished: Counters<OutcomeLabels>,
    duration: Family<JobLabels, Histogram, fn() -> Histogram>,
    queued: Gauge,
    dead: Gauge,
    oldest: Gauge<f64, std::sync::atomic::AtomicU64>,
}

impl JobMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            started: Family::default(),
            finished: Family::default(),
            duration: Family::new_with_constructor(seconds as fn() -> Histogram),
            queued: Gauge::default(),
            dead: Gauge::default(),
            oldest: Gauge::default(),
        };
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
        metrics
    }

    /// Creates a job's counters at 0.
    pub(crate) fn announce(&self, job: &'static str) {
        let _ = self.started.get_or_create(&JobLabels { job });
        for outcome in ["succeeded", "retried", "failed", "dead"] {
            let _ = self.finished.get_or_create(&OutcomeLabels { job, outcome });
        }
    }

    pub(crate) fn started(&self, job: &'static str) {
        self.started.get_or_create(&JobLabels { job }).inc();
    }

    pub(crate) fn finished(&self, job: &'static str, outcome: &'static str, took: Duration) {
        self.finished.get_or_create(&OutcomeLabels { job, outcome }).inc();
        self.duration
            .get_or_create(&JobLabels { job })
            .observe(took.as_secs_f64());
    }

    pub(crate) fn set_counts(&self, queued: i64, dead: i64, oldest_seconds: f64) {
        self.queued.set(queued);
        self.dead.set(dead);
        self.oldest.set(oldest_seconds);
    }
}
