//! Metrics of what this service needs.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use resilience::BreakerState;

use super::{Counters, seconds};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    pool: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SqlstateLabels {
    sqlstate: String,
}

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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// The Postgres pool.
#[derive(Debug)]
pub struct PoolMetrics {
    connections: Family<StateLabels, Gauge>,
    max: Family<PoolLabels, Gauge>,
    pending: Family<PoolLabels, Gauge>,
    wait: Histogram,
    timeouts: Counter,
    errors: Counters<SqlstateLabels>,
}

impl PoolMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            connections: Family::default(),
            max: Family::default(),
            pending: Family::default(),
            wait: seconds(),
            timeouts: Counter::default(),
            errors: Family::default(),
        };
        registry.register(
            "db_client_connection_count",
            "Connections by state",
            metrics.connections.clone(),
        );
        registry.register(
            "db_client_connection_max",
            "Connections that may be open",
            metrics.max.clone(),
        );
        registry.register(
            "db_client_connection_pending_requests",
            "Requests that wait for a connection",
            metrics.pending.clone(),
        );
        registry.register_with_unit(
            "db_client_connection_wait_time",
            "Time to get a connection",
            Unit::Seconds,
            metrics.wait.clone(),
        );
        registry.register(
            "db_client_connection_timeouts",
            "Waits that were given up",
            metrics.timeouts.clone(),
        );
        registry.register("db_client_errors", "Errors by SQLSTATE", metrics.errors.clone());
        metrics
    }

    pub(crate) fn set_connections(
        &self,
        pool: &'static str,
        used: usize,
        idle: usize,
        pending: usize,
        max: usize,
    ) {
        self.max.get_or_create(&PoolLabels { pool }).set(max as i64);
        for (state, count) in [("used", used), ("idle", idle)] {
            self.connections
                .get_or_create(&StateLabels { pool, state })
                .set(count as i64);
        }
        self.pending
            .get_or_create(&PoolLabels { pool })
            .set(pending as i64);
    }

    pub(crate) fn waited(&self, time: Duration) {
        self.wait.observe(time.as_secs_f64());
    }

    pub(crate) fn timed_out(&self) {
        self.timeouts.inc();
    }

    pub(crate) fn failed(&self, sqlstate: &str) {
        self.errors
            .get_or_create(&SqlstateLabels {
                sqlstate: sqlstate.to_owned(),
            })
            .inc();
    }
}

/// Retries of any dependency.
#[derive(Debug)]
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
    pub(crate) fn announce(&self, dependency: &'static str) {
        let _ = self.exhausted.get_or_create(&DependencyLabels { dependency });
    }

    pub(crate) fn attempt(&self, dependency: &'static str, reason: &'static str) {
        self.attempts
            .get_or_create(&ReasonLabels { dependency, reason })
            .inc();
    }

    pub(crate) fn budget_exhausted(&self, dependency: &'static str) {
        self.exhausted
            .get_or_create(&DependencyLabels { dependency })
            .inc();
    }
}

/// Calls of any dependency, and its breaker.
#[derive(Debug)]
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
    pub(crate) fn announce(&self, dependency: &'static str, outcomes: &[&'static str]) {
        for outcome in outcomes {
            let _ = self.calls.get_or_create(&CallLabels { dependency, outcome });
        }
    }

    pub(crate) fn called(&self, dependency: &'static str, outcome: &'static str, took: Duration) {
        self.calls
            .get_or_create(&CallLabels { dependency, outcome })
            .observe(took.as_secs_f64());
    }

    pub(crate) fn set_breaker(&self, dependency: &'static str, state: BreakerState) {
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

/// The read cache.
#[derive(Debug)]
pub struct CacheMetrics {
    requests: Counters<OutcomeLabels>,
}

impl CacheMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
        };
        registry.register(
            "cache_requests",
            "Cached reads by outcome",
            metrics.requests.clone(),
        );
        for outcome in ["hit", "miss", "stale"] {
            let _ = metrics.requests.get_or_create(&OutcomeLabels { outcome });
        }
        metrics
    }

    pub(crate) fn requested(&self, outcome: &'static str) {
        self.requests.get_or_create(&OutcomeLabels { outcome }).inc();
    }
}
