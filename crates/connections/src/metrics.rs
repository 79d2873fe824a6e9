//! Metrics of connections.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Unit,
};
use telemetry::metrics::{Counters, Metrics};

/// Why this process closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// No request for `http.keep_alive`.
    Idle,
    /// A head did not arrive in time.
    Head,
    /// The client did not accept the response in time.
    Send,
    /// The limit on open connections was reached, and this one had been idle longest.
    Limit,
}

impl Reason {
    const ALL: [Self; 4] = [Self::Idle, Self::Head, Self::Send, Self::Limit];

    fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Head => "head_timeout",
            Self::Send => "send_timeout",
            Self::Limit => "limit",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// Metrics of connections. Clones share them.
#[derive(Clone, Debug)]
pub struct ConnectionMetrics {
    open: Gauge,
    limit: Gauge,
    closed: Counters<ReasonLabels>,
    stalled: Gauge<f64, AtomicU64>,
}

impl ConnectionMetrics {
    /// Registers the metrics.
    pub fn register(all: &Metrics) -> Self {
        let metrics = Self {
            open: Gauge::default(),
            limit: Gauge::default(),
            closed: Family::default(),
            stalled: Gauge::default(),
        };
        all.register(|registry| {
            registry.register(
                "http_server_open_connections",
                "Open connections of clients",
                metrics.open.clone(),
            );
            registry.register(
                "http_server_open_connections_limit",
                "Maximum number of open connections; at the limit, the one that has been idle longest is closed",
                metrics.limit.clone(),
            );
            registry.register(
                "http_server_closed_connections",
                "Connections that this process closed because of a limit, by reason",
                metrics.closed.clone(),
            );
            registry.register_with_unit(
                "http_server_thread_stalled",
                "Longest time that any serving thread has been without progress",
                Unit::Seconds,
                metrics.stalled.clone(),
            );
        });
        for reason in Reason::ALL {
            let _ = metrics.closed_for(reason);
        }
        metrics
    }

    /// Sets the gauge of the maximum number of open connections.
    pub fn set_limit(&self, limit: usize) {
        self.limit.set(i64::try_from(limit).unwrap_or(i64::MAX));
    }

    /// Sets the gauge of the longest time that any serving thread has been without progress.
    pub fn set_stalled(&self, time: Duration) {
        self.stalled.set(time.as_secs_f64());
    }

    pub(crate) fn opened(&self) {
        self.open.inc();
    }

    pub(crate) fn ended(&self) {
        self.open.dec();
    }

    pub(crate) fn closed(&self, reason: Reason) {
        self.closed_for(reason).inc();
    }

    fn closed_for(&self, reason: Reason) -> Counter {
        self.closed
            .get_or_create(&ReasonLabels {
                reason: reason.as_str(),
            })
            .clone()
    }
}
