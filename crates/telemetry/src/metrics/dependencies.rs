//! Metrics of what a service needs, the same for all of them.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use resilience::BreakerState;

use super::{Counters, seconds};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    dependency: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DependencyLabels {
    dependency: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    dependency: &'static str,
    outcome: &'static str,
}

/// Retries of any dependency.
#[derive(Clone, Debug)]
pub struct RetryMetrics {
    attempts: Counters<ReasonLabels>,
    exhausted: Counters<DependencyLabels>,
}

impl RetryMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            attempts: Family::default(),
            exhausted: Family::default(),
        };
        registry.register(
            "retry_attempts",
            "Attempts after the first, by reason",
            metrics.attempts.clone(),
        );
        registry.register(
            "retry_budget_exhausted",
            "Retries that were right but had no budget",
            metrics.exhausted.clone(),
        );
        metrics
    }

    /// Creates the dependency's counters at 0.
    pub fn announce(&self, dependency: &'static str) {
        let _ = self.exhausted.get_or_create(&DependencyLabels { dependency });
    }

    /// Counts an attempt after the first.
    pub fn attempt(&self, dependency: &'static str, reason: &'static str) {
        self.attempts
            .get_or_create(&ReasonLabels { dependency, reason })
            .inc();
    }

    /// Counts a retry that the budget did not allow.
    pub fn budget_exhausted(&self, dependency: &'static str) {
        self.exhausted
            .get_or_create(&DependencyLabels { dependency })
            .inc();
    }
}

/// Calls of any dependency, and its breaker.
#[derive(Clone, Debug)]
pub struct DependencyMetrics {
    calls: Family<CallLabels, Histogram, fn() -> Histogram>,
    breakers: Family<DependencyLabels, Gauge>,
}

impl DependencyMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            calls: Family::new_with_constructor(seconds as fn() -> Histogram),
            breakers: Family::default(),
        };
        registry.register_with_unit(
            "dependency_request_duration",
            "Time of calls by outcome",
            Unit::Seconds,
            metrics.calls.clone(),
        );
        registry.register(
            "dependency_breaker_state",
            "0 closed, 1 half open, 2 open",
            metrics.breakers.clone(),
        );
        metrics
    }

    /// Creates the dependency's series at 0, one for each outcome.
    pub fn announce(&self, dependency: &'static str, outcomes: &[&'static str]) {
        for outcome in outcomes {
            let _ = self.calls.get_or_create(&CallLabels { dependency, outcome });
        }
    }

    /// Counts a call and its time.
    pub fn called(&self, dependency: &'static str, outcome: &'static str, took: Duration) {
        self.calls
            .get_or_create(&CallLabels { dependency, outcome })
            .observe(took.as_secs_f64());
    }

    /// Shows the state of a breaker.
    pub fn set_breaker(&self, dependency: &'static str, state: BreakerState) {
        let state = match state {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        };
        self.breakers
            .get_or_create(&DependencyLabels { dependency })
            .set(state);
    }
}
