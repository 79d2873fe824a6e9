//! The public server, with the same start-up, router and state in the binary and in tests.

use std::{
    future::ready,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use actix_http::{HttpService, KeepAlive, Protocol, Request, error::DispatchError};
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt, map_config};
use actix_web::{
    App, Error,
    body::BoxBody,
    dev::{self, AppConfig, ServerHandle, ServiceResponse, fn_service},
    middleware::from_fn,
    web::{self, Data},
};
use anyhow::Context;
use connections::{Connections, Stream};
use runtime::ShutdownSettings;
use tokio::{net::TcpSocket, task::JoinHandle};
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

/// Time for the request line and headers to arrive. After that, the HTTP library responds to the first head of a
/// connection with a bare 408; on a later one the connection is closed.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for a client to read the response to an upload that was refused, before the connection is closed.
const LINGER: Duration = Duration::from_secs(1);

/// Connections that wait to be accepted.
const ACCEPT_QUEUE: u32 = 1_024;

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
    /// The `OpenAPI` document of the service `name`: its own operations, the pages that every service has, and all
    /// problems.
    pub fn document(&self, name: &str) -> OpenApi {
        let mut document = self.operations().document();
        document.info = Info::new(name, self.version);
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
        operations.of_platform(|operations| {
            operations
                .register::<pages::list_problems>()
                .register::<pages::show_problem>()
                .register::<pages::openapi_json>()
                .register::<pages::info>();
        });
        (self.register)(&mut operations);
        #[cfg(feature = "jobs")]
        if self.jobs {
            operations.of_platform(|operations| _ = operations.register::<crate::jobs::get_job>());
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
    let threads = http.threads();
    let limits = http.connection_limits();
    // While every connection serves a request, none can be closed in favour of a new one.
    let accepted = limits.max_open + limits.max_open.div_ceil(16);
    let server = actix_server::Server::build();
    let draining = server.graceful_shutdown_signal();
    let server = server
        .workers(threads)
        .max_concurrent_connections(accepted)
        .shutdown_timeout(
            shutdown.drain_timeout.as_secs() + u64::from(shutdown.drain_timeout.subsec_nanos() > 0),
        )
        .disable_signals()
        .listen("public", listener, move || {
            // Runs once in each serving thread.
            let connections = Connections::new(limits.clone(), shared.connections.clone());
            let supervised = connections.clone().supervise(shared.heartbeats.watch());
            actix_web::rt::spawn(supervised);
            let draining = draining.clone();
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let draining = draining.clone();
                    async move { draining.notified().await }
                })
                // Idle connections are closed by `Connections`.
                .keep_alive(KeepAlive::Os)
                .client_request_timeout(HEAD_TIMEOUT)
                .client_disconnect_timeout(LINGER)
                // A client that gives up closes its socket; it is not waiting for a response.
                .h1_allow_half_closed(false)
                .on_connect_ext(|stream: &Stream, data| {
                    data.insert(stream.connection().clone());
                })
                .finish(map_config(app(&shared, &state), |()| AppConfig::default()));
            fn_service(move |socket| {
                let stream = connections.accept(socket);
                let client = stream.peer_address();
                ready(Ok::<_, DispatchError>((stream, Protocol::Http1, client)))
            })
            .and_then(http)
        })?
        .run();
    Ok(Server::new(address, server))
}

/// The layers, the operations and the pages.
fn app<S: Send + Sync + 'static>(
    shared: &Data<Shared>,
    state: &Data<S>,
) -> impl ServiceFactory<
    Request,
    Config = AppConfig,
    Response = ServiceResponse<BoxBody>,
    Error = Error,
    InitError = (),
> + use<S> {
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
        .into_factory()
}

/// A listener on `address`. The error names `key`, the configuration key of the port.
///
/// # Errors
/// When the address cannot be listened on.
pub fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let listen = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // A restarted process must not wait for the connections of the one before.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(ACCEPT_QUEUE)?.into_std()
    };
    listen()
        .with_context(|| format!("cannot listen on {address}; is the port in use? Set another with `{key}`"))
}
