//! Metrics of jobs.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::Unit,
};
use telemetry::metrics::{Counters, Metrics};

use crate::{
    attempt_outcome::Outcome,
    totals::{Count, State},
};

/// The tables that are purged.
const TABLES: [&str; 2] = ["idempotency_keys", "job_runs"];

/// The label of kinds that this release does not have: they wait for a worker of another one.
const UNKNOWN: &str = "unknown";

/// Bucket bounds in seconds: jobs take longer than requests may.
fn seconds() -> Histogram {
    Histogram::new([
        0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
    ])
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    // Not `job`: Prometheus uses that label for the scrape job.
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    kind: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TableLabels {
    table: &'static str,
}

/// Metrics of jobs: attempts by outcome, and runs by state.
#[derive(Clone, Debug)]
pub struct JobMetrics {
    kinds: Arc<Mutex<Vec<&'static str>>>,
    started: Counters<KindLabels>,
    finished: Counters<OutcomeLabels>,
    duration: Family<KindLabels, Histogram, fn() -> Histogram>,
    timeout: Family<KindLabels, Gauge<f64, AtomicU64>>,
    runs: Family<StateLabels, Gauge>,
    oldest: Family<StateLabels, Gauge<f64, AtomicU64>>,
    purged: Counters<TableLabels>,
}

impl JobMetrics {
    /// Registers the metrics.
    pub fn register(all: &Metrics) -> Self {
        let metrics = Self {
            kinds: Arc::default(),
            started: Family::default(),
            finished: Family::default(),
            duration: Family::new_with_constructor(seconds as fn() -> Histogram),
            timeout: Family::default(),
            runs: Family::default(),
            oldest: Family::default(),
            purged: Family::default(),
        };
        for table in TABLES {
            let _ = metrics.purged.get_or_create(&TableLabels { table });
        }
        all.register(|registry| {
            registry.register("jobs_started", "Attempts that began", metrics.started.clone());
            registry.register("jobs_finished", "Attempts by outcome", metrics.finished.clone());
            registry.register_with_unit(
                "jobs_duration",
                "Duration of attempts",
                Unit::Seconds,
                metrics.duration.clone(),
            );
            registry.register_with_unit(
                "jobs_timeout",
                "Time limit of an attempt",
                Unit::Seconds,
                metrics.timeout.clone(),
            );
            registry.register(
                "jobs_runs",
                "Unfinished and dead runs by state",
                metrics.runs.clone(),
            );
            registry.register_with_unit(
                "jobs_oldest",
                "Time that the oldest run has spent in its state",
                Unit::Seconds,
                metrics.oldest.clone(),
            );
            registry.register(
                "jobs_purged_rows",
                "Rows deleted after their retention",
                metrics.purged.clone(),
            );
        });
        metrics
    }

    /// Creates the metrics of a kind of job at 0.
    pub fn announce(&self, kind: &'static str, timeout: Duration) {
        let _ = self.started.get_or_create(&KindLabels { kind });
        let _ = self.duration.get_or_create(&KindLabels { kind });
        self.timeout
            .get_or_create(&KindLabels { kind })
            .set(timeout.as_secs_f64());
        for outcome in Outcome::ALL.map(Outcome::name) {
            let _ = self.finished.get_or_create(&OutcomeLabels { kind, outcome });
        }
        self.kinds
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(kind);
        self.set_counts(&[]);
    }

    pub(crate) fn started(&self, kind: &'static str) {
        self.started.get_or_create(&KindLabels { kind }).inc();
    }

    pub(crate) fn finished(&self, kind: &'static str, outcome: Outcome, took: Duration) {
        self.count(kind, outcome);
        self.duration
            .get_or_create(&KindLabels { kind })
            .observe(took.as_secs_f64());
    }

    /// Counts an attempt whose worker is gone.
    pub(crate) fn crashed(&self, kind: Option<&'static str>, is_dead: bool) {
        let kind = kind.unwrap_or(UNKNOWN);
        self.count(kind, Outcome::Crashed);
        if is_dead {
            self.count(kind, Outcome::Dead);
        }
    }

    fn count(&self, kind: &'static str, outcome: Outcome) {
        let outcome = outcome.name();
        self.finished
            .get_or_create(&OutcomeLabels { kind, outcome })
            .inc();
    }

    /// Counts rows of a table that were deleted after their retention.
    pub(crate) fn purged(&self, table: &'static str, rows: u64) {
        self.purged.get_or_create(&TableLabels { table }).inc_by(rows);
    }

    /// Sets the gauges of every known kind; runs of other kinds are added up as `unknown`.
    pub(crate) fn set_counts(&self, counts: &[Count]) {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let known = |kind: &str| kinds.iter().copied().find(|known| *known == kind);
        for kind in kinds.iter().copied().chain([UNKNOWN]) {
            for state in State::ALL {
                let found = counts
                    .iter()
                    .filter(|count| count.state == state && known(&count.kind).unwrap_or(UNKNOWN) == kind);
                let labels = StateLabels {
                    kind,
                    state: state.name(),
                };
                self.runs
                    .get_or_create(&labels)
                    .set(found.clone().map(|count| count.runs).sum());
                let oldest = found.map(|count| count.oldest_seconds).fold(0.0, f64::max);
                self.oldest.get_or_create(&labels).set(oldest);
            }
        }
    }
}
