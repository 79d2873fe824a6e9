//! What the layers of a request and the pages share.

use auth::Authenticator;
use outcome::Catalogue;
use resilience::ConcurrencyLimit;
use runtime::Lifecycle;

use crate::{HttpMetrics, Info, Operations, Settings, drill::Drill, rate_limiter::RateLimiter};

/// What the layers of a request and the pages share; one in each process.
#[derive(Debug)]
pub struct Shared {
    /// The section `http`.
    pub settings: Settings,
    /// The section `telemetry`: which traces are kept.
    pub traces: telemetry::Settings,
    /// What runs.
    pub info: Info,
    /// All problem types.
    pub catalogue: Catalogue,
    /// The contract, as JSON.
    pub openapi: String,
    /// What is served.
    pub operations: Operations,
    /// The phases of this process.
    pub lifecycle: Lifecycle,
    /// Requests and answers.
    pub metrics: HttpMetrics,
    /// Quotas.
    pub limiter: RateLimiter,
    /// Tokens.
    pub authenticator: Authenticator,
    /// Requests in flight.
    pub in_flight: ConcurrencyLimit,
    /// Bodies that are arriving: a part of the requests in flight, so that slow senders leave room.
    pub uploads: ConcurrencyLimit,
    /// The fault of a drill.
    pub drill: Drill,
    /// Where `GET /v1/jobs/{id}` looks.
    #[cfg(feature = "jobs")]
    pub jobs: Option<database::Database>,
}

impl Shared {
    /// Creates the series of every route at 0, and shows the limit of requests in flight.
    pub fn announce(&self) {
        self.metrics.set_active_limit(self.settings.max_in_flight);
        self.operations
            .routes()
            .templates()
            .for_each(|route| self.metrics.announce(route));
    }

    /// The permits of the section `http`: requests in flight, and bodies that are arriving.
    pub fn permits(settings: &Settings) -> [ConcurrencyLimit; 2] {
        let requests = settings.max_in_flight;
        [requests, requests.div_ceil(2)].map(ConcurrencyLimit::new)
    }
}
