//! Metrics of Postgres.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Unit,
};
use telemetry::metrics::{Counters, Metrics, seconds};

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

/// Connections to Postgres and the errors of its server. All pools of a process share one group.
#[derive(Clone, Debug)]
pub struct PoolMetrics {
    connections: Family<StateLabels, Gauge>,
    max: Family<PoolLabels, Gauge>,
    pending: Family<PoolLabels, Gauge>,
    wait: Histogram,
    timeouts: Counter,
    errors: Counters<SqlstateLabels>,
}

impl PoolMetrics {
    /// Registers the group.
    pub fn register(all: &Metrics) -> Self {
        let metrics = Self {
            connections: Family::default(),
            max: Family::default(),
            pending: Family::default(),
            wait: seconds(),
            timeouts: Counter::default(),
            errors: Family::default(),
        };
        all.register(|registry| {
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
        });
        metrics
    }

    /// Shows the connections of a pool.
    pub fn set_connections(&self, pool: &'static str, used: usize, idle: usize, pending: usize, max: usize) {
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

    /// Counts the time in which a connection was got.
    pub fn waited(&self, time: Duration) {
        self.wait.observe(time.as_secs_f64());
    }

    /// Counts a wait that was given up.
    pub fn timed_out(&self) {
        self.timeouts.inc();
    }

    /// Counts an error by its SQLSTATE.
    pub fn failed(&self, sqlstate: &str) {
        self.errors
            .get_or_create(&SqlstateLabels {
                sqlstate: sqlstate.to_owned(),
            })
            .inc();
    }
}
