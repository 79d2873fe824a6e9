//! Metrics of calls to dependencies, the same for each.

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

/// Metrics of retries by dependency.
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
            "Retries by dependency and reason",
            metrics.attempts.clone(),
        );
        registry.register(
            "retry_budget_exhausted",
            "Retries not made because the retry budget was exhausted, by dependency",
            metrics.exhausted.clone(),
        );
        metrics
    }

    /// Initializes the dependency's count of exhausted budgets at 0.
    pub fn announce(&self, dependency: &'static str) {
        let _ = self.exhausted.get_or_create(&DependencyLabels { dependency });
    }

    /// Counts a retry.
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

/// Metrics of calls and circuit breakers by dependency.
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
            "Duration of calls by dependency and outcome",
            Unit::Seconds,
            metrics.calls.clone(),
        );
        registry.register(
            "dependency_breaker_state",
            "State of the circuit breaker by dependency: 0 closed, 1 half open, 2 open",
            metrics.breakers.clone(),
        );
        metrics
    }

    /// Initializes the dependency's durations, one series for each outcome.
    pub fn announce(&self, dependency: &'static str, outcomes: &[&'static str]) {
        for outcome in outcomes {
            let _ = self.calls.get_or_create(&CallLabels { dependency, outcome });
        }
    }

    /// Records the outcome and the duration of a call.
    pub fn called(&self, dependency: &'static str, outcome: &'static str, took: Duration) {
        self.calls
            .get_or_create(&CallLabels { dependency, outcome })
            .observe(took.as_secs_f64());
    }

    /// Sets the state of a circuit breaker.
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
