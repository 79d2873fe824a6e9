//! The management server.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
};

use actix_web::{
    App, HttpServer,
    web::{Data, ServiceConfig},
};
use connections::Heartbeats;
use http_server::{Info, Server, Settings, bind, fault_injection::FaultInjection};
use outcome::Catalogue;
use resilience::ConcurrencyLimit;
use runtime::{Lifecycle, MANAGEMENT_STOP};
use telemetry::metrics::Metrics;

use crate::{Dependency, Requirement, faults, probes, reports};

/// The state of the management server: what it reports and switches.
pub struct Management {
    /// The running service.
    pub info: Info,
    /// All problem types.
    pub catalogue: Catalogue,
    /// The lifecycle of this process.
    pub lifecycle: Lifecycle,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// Updates gauges before a scrape.
    pub before_scrape: Box<dyn Fn() + Send + Sync>,
    /// The dependencies of the service.
    pub dependencies: Vec<Dependency>,
    /// The dependencies that readiness requires.
    pub require: Vec<Requirement>,
    /// Whether the worker of this process is healthy; `None` if the process has no worker.
    pub working: Option<Arc<AtomicBool>>,
    /// Signs of life of the threads that serve.
    pub heartbeats: Heartbeats,
    /// The limit on requests in flight.
    pub in_flight: ConcurrencyLimit,
    /// The injected fault.
    pub fault_injection: FaultInjection,
    /// Whether faults may be switched on (`faults.enabled`).
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
        .service(reports::problems)
        .service(faults::get_fault)
        .service(faults::switch_on)
        .service(faults::switch_off);
}

/// Serves probes, reports and fault injection.
///
/// # Errors
/// When the server cannot listen on its port.
pub fn listen(settings: &Settings, management: Data<Management>) -> anyhow::Result<Server> {
    let host = settings.management_host.unwrap_or(settings.host);
    let address = SocketAddr::new(host, settings.management_port);
    let listener = bind(address, "http.management_port")?;
    let address = listener.local_addr()?;
    let server = HttpServer::new(move || App::new().app_data(management.clone()).configure(configure))
        .workers(1)
        .shutdown_timeout(MANAGEMENT_STOP.as_secs())
        .disable_signals()
        .listen(listener)?
        .run();
    Ok(Server::new(address, server))
}
