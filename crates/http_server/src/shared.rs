//! The state that the layers of a request and the pages share.

use auth::Authenticator;
use outcome::Catalogue;
use resilience::ConcurrencyLimit;
use runtime::Lifecycle;

use crate::{
    HttpMetrics, Info, Operations, Settings, fault_injection::FaultInjection, rate_limiter::RateLimiter,
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
    /// Counts requests against quotas.
    pub limiter: RateLimiter,
    /// Verifies tokens.
    pub authenticator: Authenticator,
    /// The limit on requests in flight.
    pub in_flight: ConcurrencyLimit,
    /// The limit on bodies that are arriving: lower than that on requests in flight, so that slow senders leave room.
    pub uploads: ConcurrencyLimit,
    /// The injected fault.
    pub fault_injection: FaultInjection,
    /// The database that `GET /v1/jobs/{id}` reads; `None` if the service has no jobs.
    #[cfg(feature = "jobs")]
    pub jobs: Option<database::Database>,
}

impl Shared {
    /// Creates the metrics of every route at 0, and sets the gauge of the limit on requests in flight.
    pub fn announce(&self) {
        self.metrics.set_active_limit(self.settings.max_in_flight);
        self.operations
            .routes()
            .templates()
            .for_each(|route| self.metrics.announce(route));
    }

    /// The limits of the section `http`: on requests in flight, and on bodies that are arriving.
    pub fn permits(settings: &Settings) -> [ConcurrencyLimit; 2] {
        let requests = settings.max_in_flight;
        [requests, requests.div_ceil(2)].map(ConcurrencyLimit::new)
    }
}
