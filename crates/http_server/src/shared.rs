//! The state that the layers of a request and the pages share.

use std::sync::atomic::AtomicU64;

use auth::Authenticator;
use connections::{ConnectionMetrics, Heartbeats};
use outcome::Catalogue;
use resilience::{ConcurrencyLimit, KeyedLimit};
use runtime::Lifecycle;

use crate::{
    HttpMetrics, Info, Operations, RateLimitSettings, Settings, fault_injection::FaultInjection,
    rate_limiter::RateLimiter,
};

/// The state that the layers of a request and the pages share, one per process.
#[derive(Debug)]
pub struct Shared {
    /// The section `http`.
    pub settings: Settings,
    /// The section `telemetry`, which decides which traces are kept.
    pub traces: telemetry::Settings,
    /// The running service.
    pub info: Info,
    /// All problem types.
    pub catalogue: Catalogue,
    /// The `OpenAPI` document, as JSON.
    pub openapi: String,
    /// The operations of the service.
    pub operations: Operations,
    /// The lifecycle of this process.
    pub lifecycle: Lifecycle,
    /// Metrics of requests and responses.
    pub metrics: HttpMetrics,
    /// Metrics of connections.
    pub connections: ConnectionMetrics,
    /// Signs of life of the threads that serve.
    pub heartbeats: Heartbeats,
    /// Counts requests against quotas.
    pub limiter: RateLimiter,
    /// Verifies tokens.
    pub authenticator: Authenticator,
    /// The limit on requests in flight.
    pub in_flight: ConcurrencyLimit,
    /// The limit on requests in flight of one subject.
    pub subject_in_flight: KeyedLimit,
    /// The limit on bodies of one subject that are arriving.
    pub subject_uploads: KeyedLimit,
    /// The number of requests that load shedding refused.
    pub shed: AtomicU64,
    /// The limit on bodies that are arriving: lower than that on requests in flight, so that slow senders leave room.
    pub uploads: ConcurrencyLimit,
    /// The injected fault.
    pub fault_injection: FaultInjection,
    /// The database that `GET /v1/jobs/{id}` reads; `None` if the service has no jobs.
    #[cfg(feature = "jobs")]
    pub jobs: Option<database::Database>,
}

impl Shared {
    /// Creates the metrics of every operation at 0, and sets the gauges of limits.
    pub fn announce(&self) {
        self.metrics.set_active_limit(self.settings.max_in_flight);
        self.connections.set_limit(self.settings.max_connections);
        for (method, route) in self.operations.routes().labels() {
            self.metrics.announce(method, route);
        }
    }

    /// The limits on requests in flight, and on bodies that are arriving.
    pub fn permits(http: &Settings) -> [ConcurrencyLimit; 2] {
        [http.max_in_flight, http.max_uploads()].map(ConcurrencyLimit::new)
    }

    /// The limits on requests in flight of one subject, and on its bodies that are arriving.
    pub fn subject_permits(http: &Settings, rate_limit: &RateLimitSettings) -> [KeyedLimit; 2] {
        [http.max_in_flight, http.max_uploads()].map(|all| KeyedLimit::new(rate_limit.share_of(all)))
    }
}
