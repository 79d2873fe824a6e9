//! Metrics of connection pools and database errors.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Unit,
};
use telemetry::metrics::{Counters, Metrics, seconds};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    db_client_connection_pool_name: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    db_client_connection_pool_name: &'static str,
    db_client_connection_state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SqlstateLabels {
    sqlstate: String,
}

/// Metrics of pools of connections, of Postgres and of Redis, and of errors of Postgres. All pools of a process share one
/// group.
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
    /// Registers the metrics.
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
                "Open connections by pool and state",
                metrics.connections.clone(),
            );
            registry.register(
                "db_client_connection_max",
                "Maximum open connections by pool",
                metrics.max.clone(),
            );
            registry.register(
                "db_client_connection_pending_requests",
                "Requests waiting for a connection by pool",
                metrics.pending.clone(),
            );
            registry.register_with_unit(
                "db_client_connection_wait_time",
                "Time spent waiting for a Postgres connection, including failed waits",
                Unit::Seconds,
                metrics.wait.clone(),
            );
            registry.register(
                "db_client_connection_timeouts",
                "Waits for a Postgres connection that exceeded the acquire timeout",
                metrics.timeouts.clone(),
            );
            registry.register(
                "db_client_errors",
                "Postgres errors by SQLSTATE",
                metrics.errors.clone(),
            );
        });
        metrics
    }

    /// Sets the connection gauges of a pool.
    pub fn set_connections(&self, pool: &'static str, used: usize, idle: usize, pending: usize, max: usize) {
        self.max
            .get_or_create(&PoolLabels {
                db_client_connection_pool_name: pool,
            })
            .set(gauge(max));
        for (state, count) in [("used", used), ("idle", idle)] {
            self.connections
                .get_or_create(&StateLabels {
                    db_client_connection_pool_name: pool,
                    db_client_connection_state: state,
                })
                .set(gauge(count));
        }
        self.pending
            .get_or_create(&PoolLabels {
                db_client_connection_pool_name: pool,
            })
            .set(gauge(pending));
    }

    /// Records the time spent waiting for a connection.
    pub fn waited(&self, time: Duration) {
        self.wait.observe(time.as_secs_f64());
    }

    /// Counts a wait that exceeded the acquire timeout.
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

/// A count as the value of a gauge, which is signed.
fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
