//! The server of the management port.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
};

use actix_web::{
    App, HttpServer,
    web::{Data, ServiceConfig},
};
use http_server::{Info, Running, Settings, bind, drill::Drill};
use resilience::ConcurrencyLimit;
use runtime::Lifecycle;
use telemetry::metrics::Metrics;

use crate::{Dependency, Requirement, faults, probes, reports};

/// What the management port shows and switches.
pub struct Management {
    /// What runs.
    pub info: Info,
    /// The phases of this process.
    pub lifecycle: Lifecycle,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// Brings gauges up to date before a scrape.
    pub before_scrape: Box<dyn Fn() + Send + Sync>,
    /// What the service needs.
    pub dependencies: Vec<Dependency>,
    /// What readiness depends on besides this process.
    pub require: Vec<Requirement>,
    /// Whether the worker of this process works, where it has one.
    pub working: Option<Arc<AtomicBool>>,
    /// Requests in flight.
    pub in_flight: ConcurrencyLimit,
    /// The fault of a drill.
    pub drill: Drill,
    /// Whether a fault may be switched on.
    pub faults_enabled: bool,
}

impl fmt::Debug for Management {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Management").finish_non_exhaustive()
    }
}

fn configure(service: &mut ServiceConfig) {
    service
        .service(probes::livez)
        .service(probes::readyz)
        .service(probes::startupz)
        .service(reports::metrics)
        .service(reports::dependencies)
        .service(reports::status)
        .service(faults::shown)
        .service(faults::switched_on)
        .service(faults::switched_off);
}

/// Serves probes, metrics and fault injection.
///
/// # Errors
/// When the port cannot be listened on.
pub fn listen(settings: &Settings, management: Data<Management>) -> anyhow::Result<Running> {
    let address = SocketAddr::new(settings.host, settings.management_port);
    let listener = bind(address, "http.management_port")?;
    let address = listener.local_addr()?;
    let server = HttpServer::new(move || App::new().app_data(management.clone()).configure(configure))
        .workers(1)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)?
        .run();
    Ok(Running::new(address, server))
}
