//! The public server. Start-up, router and state are the same for the binary and the tests.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    dev::{Server, ServerHandle},
    middleware::from_fn,
    web::{self, Data},
};
use anyhow::Context;
use runtime::ShutdownSettings;
use tokio::task::JoinHandle;
use utoipa::openapi::{
    Info, OpenApi,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_swagger_ui::{Config as SwaggerConfig, SwaggerUi};

use super::{
    admit::admit,
    deadline::deadline,
    drill::strike,
    identify::identify,
    observe::observe,
    openapi, pages,
    routes::{DOCS, DOCS_REDIRECT},
    routing::unrouted,
};
use crate::{Operations, Shared};

/// A slow head is answered by the HTTP library itself, with a bare 408.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Registers a service's operations.
pub type Configure = fn(&mut Operations);

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// Runs `server`, which listens on `address`.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn new(address: SocketAddr, server: Server) -> Self {
        Self {
            address,
            handle: server.handle(),
            task: tokio::spawn(server),
        }
    }

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
    pub register: Configure,
    /// Its version.
    pub version: &'static str,
    /// Whether it has jobs, and so `GET /v1/jobs/{id}`.
    pub jobs: bool,
}

impl Contract {
    /// The contract as a document: the service's own operations, the pages every service has, and all problems.
    pub fn document(&self) -> OpenApi {
        let mut document = self.operations().document();
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
        openapi::complete(&mut document);
        document
    }

    /// Every operation, in the order in which they are tried.
    pub fn operations(&self) -> Operations {
        let mut operations = Operations::default();
        operations
            .register::<pages::list_problems>()
            .register::<pages::show_problem>()
            .register::<pages::openapi_json>()
            .register::<pages::info>();
        (self.register)(&mut operations);
        #[cfg(feature = "jobs")]
        if self.jobs {
            operations.register::<crate::jobs::get_job>();
        }
        operations
    }
}

/// Serves the public API.
///
/// # Errors
/// When the port cannot be listened on.
pub fn listen_public<S: Send + Sync + 'static>(
    shared: Data<Shared>,
    state: Data<S>,
    shutdown: &ShutdownSettings,
) -> anyhow::Result<Running> {
    let http = shared.settings.clone();
    let listener = bind(SocketAddr::new(http.host, http.port), "http.port")?;
    let address = listener.local_addr()?;
    let server = HttpServer::new(move || {
        let operations = shared.operations.clone();
        App::new()
            .app_data(shared.clone())
            .app_data(state.clone())
            .configure(|service| operations.configure(service))
            .service(web::redirect(DOCS_REDIRECT, "/docs/"))
            .service(SwaggerUi::new(DOCS).config(SwaggerConfig::from("/openapi.json")))
            .default_service(web::to(unrouted))
            .wrap(from_fn(strike))
            .wrap(from_fn(identify))
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
    Ok(Running::new(address, server))
}

/// A listener on `address`, which the setting `key` decides about.
///
/// # Errors
/// When the address cannot be listened on.
pub fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| {
        format!("cannot listen on {address}; is the port in use? Set another with `{key}`")
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
