//! The public server, with the same start-up, router and state in the binary and in tests.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    dev::{self, ServerHandle},
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
    deadline::deadline,
    fallback::fallback,
    fault_injection::inject,
    identify::identify,
    load_shedding::shed_load,
    openapi, pages,
    request_log::log_request,
    routes::{DOCS, DOCS_REDIRECT},
};
use crate::{Operations, Shared};

/// Time for the request line and headers to arrive; after that, the HTTP library responds with a bare 408.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Registers a service's operations.
pub type Configure = fn(&mut Operations);

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// The address that the server listens on.
    pub address: SocketAddr,
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Runs `server`, which listens on `address`, in a task of its own.
    ///
    /// # Panics
    /// When called outside a Tokio runtime.
    #[expect(clippy::disallowed_methods, reason = "`stop` waits for it")]
    pub fn new(address: SocketAddr, server: dev::Server) -> Self {
        Self {
            address,
            handle: server.handle(),
            task: tokio::spawn(server),
        }
    }

    /// Stops accepting connections and finishes the accepted requests, within the shutdown timeout of the server.
    pub async fn stop(self) {
        self.handle.stop(true).await;
        let _ = self.task.await;
    }
}

/// The contract of a service: its operations and its `OpenAPI` document.
#[derive(Clone, Copy, Debug)]
pub struct Contract {
    /// Registers the service's own operations.
    pub register: Configure,
    /// The version of the service.
    pub version: &'static str,
    /// Whether the service has jobs, and therefore `GET /v1/jobs/{id}`.
    pub jobs: bool,
}

impl Contract {
    /// The `OpenAPI` document: the service's own operations, the pages that every service has, and all problems.
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

    /// Every operation, in the order in which they are matched.
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
/// When the server cannot listen on its port.
pub fn listen_public<S: Send + Sync + 'static>(
    shared: Data<Shared>,
    state: Data<S>,
    shutdown: &ShutdownSettings,
) -> anyhow::Result<Server> {
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
            .default_service(web::to(fallback))
            .wrap(from_fn(inject))
            .wrap(from_fn(identify))
            .wrap(from_fn(deadline))
            .wrap(from_fn(shed_load))
            .wrap(from_fn(log_request))
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if http.workers == 0 { cores } else { http.workers };
    let server = server
        .workers(threads)
        .max_connections(http.max_connections.div_ceil(threads))
        .keep_alive(http.keep_alive)
        .client_request_timeout(HEAD_TIMEOUT)
        .shutdown_timeout(
            shutdown.drain_timeout.as_secs() + u64::from(shutdown.drain_timeout.subsec_nanos() > 0),
        )
        .disable_signals()
        .listen(listener)?
        .run();
    Ok(Server::new(address, server))
}

/// A listener on `address`. The error names `key`, the configuration key of the port.
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
