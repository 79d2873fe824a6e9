//! The two servers. Start-up, router and state are the same for the binary and the tests.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    dev::ServerHandle,
    middleware::from_fn,
    web::{self, Data},
};
use anyhow::Context;
use outcome::Catalogue;
use tokio::task::JoinHandle;
use utoipa::openapi::{
    Info, OpenApi, OpenApiBuilder,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_actix_web::{AppExt, service_config::ServiceConfig};
use utoipa_swagger_ui::{Config as SwaggerConfig, SwaggerUi};

use super::{
    admit::admit, auth::authenticate, catalogue_pages as pages, deadline::deadline, drill::strike,
    management, observe::observe, openapi, quota::quota, routing::unrouted,
};
use runtime::ShutdownSettings;

use crate::{Management, Settings, Shared};

/// A slow head is answered by the HTTP library itself, with a bare 408.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Registers a service's operations.
pub type Configure = fn(&mut ServiceConfig);

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// Stops accepting and finishes what was accepted, within the limit it was started with.
    pub async fn stop(self) {
        self.handle.stop(true).await;
        let _ = self.task.await;
    }
}

/// What the contract of a service is made of.
#[derive(Clone, Copy, Debug)]
pub struct Contract {
    /// Registers its own operations.
    pub operations: Configure,
    /// All its problem types.
    pub catalogue: Catalogue,
    /// Its version.
    pub version: &'static str,
    /// Whether it has jobs, and so `GET /v1/jobs/{id}`.
    pub jobs: bool,
}

impl Contract {
    /// The contract as a document: the service's own operations, the pages every service has, and all problems.
    pub fn document(&self) -> OpenApi {
        let (_, mut document) = App::new()
            .into_utoipa_app()
            .configure(|service| self.configure(service))
            .split_for_parts();
        document.merge(OpenApiBuilder::new().build());
        document.info = Info::new("API", self.version);
        let bearer = SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .bearer_format("JWT")
                .build(),
        );
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", bearer);
        openapi::complete(&mut document, self.catalogue);
        document
    }

    fn configure(&self, service: &mut ServiceConfig) {
        service
            .service(pages::list_problems)
            .service(pages::show_problem)
            .service(pages::openapi_json)
            .service(pages::info);
        (self.operations)(service);
        #[cfg(feature = "jobs")]
        if self.jobs {
            service.service(crate::jobs::get_job);
        }
    }
}

/// Serves the public API.
///
/// # Errors
/// When the port cannot be listened on.
pub fn listen_public<S: Send + Sync + 'static>(
    shared: Data<Shared>,
    state: Data<S>,
    contract: Contract,
    shutdown: &ShutdownSettings,
) -> anyhow::Result<Running> {
    let http = shared.settings.clone();
    let listener = bind(SocketAddr::new(http.host, http.port), "http.port")?;
    let address = listener.local_addr()?;
    let server = HttpServer::new(move || {
        let (app, _) = App::new()
            .app_data(shared.clone())
            .app_data(state.clone())
            .into_utoipa_app()
            .configure(|service| contract.configure(service))
            .split_for_parts();
        app.service(web::redirect("/docs", "/docs/"))
            .service(SwaggerUi::new("/docs/{_:.*}").config(SwaggerConfig::from("/openapi.json")))
            .default_service(web::to(unrouted))
            .wrap(from_fn(strike))
            .wrap(from_fn(quota))
            .wrap(from_fn(authenticate))
            .wrap(from_fn(deadline))
            .wrap(from_fn(admit))
            .wrap(from_fn(observe))
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if http.workers == 0 { cores } else { http.workers };
    let server = server
        .workers(threads)
        .max_connections(http.max_connections.div_ceil(threads))
        .keep_alive(http.keep_alive)
        .client_request_timeout(HEAD_TIMEOUT)
        .shutdown_timeout(shutdown.drain.as_secs_f64().ceil() as u64)
        .disable_signals()
        .listen(listener)?
        .run();
    Ok(Running {
        address,
        handle: server.handle(),
        task: tokio::spawn(server),
    })
}

/// Serves probes and metrics.
///
/// # Errors
/// When the port cannot be listened on.
pub fn listen_management(settings: &Settings, management: Data<Management>) -> anyhow::Result<Running> {
    let listener = bind(
        SocketAddr::new(settings.host, settings.management_port),
        "http.management_port",
    )?;
    let address = listener.local_addr()?;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(management.clone())
            .configure(management::configure)
    })
    .workers(1)
    .shutdown_timeout(1)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(Running {
        address,
        handle: server.handle(),
        task: tokio::spawn(server),
    })
}

fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| {
        format!("cannot listen on {address}; is the port in use? Set another with `{key}`")
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
