//! The two ports, and counts of received requests.

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener},
    sync::{Mutex, PoisonError},
};

use actix_web::{
    App, Error, HttpRequest, HttpServer,
    body::MessageBody,
    dev::{ServerHandle, ServiceRequest, ServiceResponse},
    middleware::{Next, from_fn},
    web,
};
use anyhow::Context;
use serde::Serialize;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{
    api,
    faults::{Endpoint, Fault, Faults},
    management,
};

/// What was received so far.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Received {
    /// The number of requests, by endpoint.
    pub requests: HashMap<Endpoint, u64>,
    /// The number of times each notification was accepted, by idempotency key.
    pub notifications: HashMap<String, u64>,
    /// The `traceparent` of the last request.
    pub last_traceparent: Option<String>,
    /// The `X-Request-Id` of the last request.
    pub last_request_id: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) faults: Faults,
    received: Mutex<Received>,
}

impl State {
    pub(crate) fn record(&self, endpoint: Endpoint, request: &HttpRequest) {
        let header = |name: &str| request.headers().get(name)?.to_str().ok().map(str::to_owned);
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        *received.requests.entry(endpoint).or_default() += 1;
        received.last_traceparent = header("traceparent");
        received.last_request_id = header("x-request-id");
    }

    /// Counts a notification; returns whether it was the first with this key.
    pub(crate) fn notify(&self, key: &str) -> bool {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let count = received.notifications.entry(key.to_owned()).or_default();
        *count += 1;
        *count == 1
    }

    pub(crate) fn counts(&self) -> Received {
        self.received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// A running supplier.
#[derive(Debug)]
pub struct Supplier {
    /// The address of the API.
    pub address: SocketAddr,
    /// The address of the management port.
    pub management: SocketAddr,
    state: web::Data<State>,
    handles: [ServerHandle; 2],
}

impl Supplier {
    /// Sets or removes the fault of an endpoint.
    pub fn set_fault(&self, endpoint: Endpoint, fault: Option<Fault>) {
        self.state.faults.set(endpoint, fault);
    }

    /// Returns what was received so far.
    pub fn received(&self) -> Received {
        self.state.counts()
    }

    /// Stops both servers without waiting for requests in flight.
    pub async fn stop(&self) {
        for handle in &self.handles {
            handle.stop(false).await;
        }
    }
}

/// Starts the supplier on these addresses; port 0 picks a free port.
///
/// # Errors
/// When a port is not available.
pub fn start(api_at: SocketAddr, management_at: SocketAddr) -> anyhow::Result<Supplier> {
    let state = web::Data::new(State::default());
    let (address, api_handle) = listen(api_at, state.clone(), |service| {
        service
            .service(api::quote)
            .service(api::delivery)
            .service(api::notify);
    })?;
    let (management, management_handle) = listen(management_at, state.clone(), |service| {
        service
            .service(management::livez)
            .service(management::list)
            .service(management::switch_on)
            .service(management::switch_off)
            .service(management::received);
    })?;
    Ok(Supplier {
        address,
        management,
        state,
        handles: [api_handle, management_handle],
    })
}

/// Records each request as a span in the trace of the client.
async fn trace(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let route = request.match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    let span = tracing::info_span!(
        "supply",
        otel.name = format!("{} {route}", request.method()),
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        error.type = tracing::field::Empty,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
    );
    let traceparent = request.headers().get("traceparent");
    let traceparent = traceparent.and_then(|value| value.to_str().ok());
    let _ = span.set_parent(telemetry::remote_parent(
        traceparent,
        telemetry::Trust::SampledFlag,
    ));
    let response = next.call(request).instrument(span.clone()).await?;
    let status = response.status().as_u16();
    span.record("http.response.status_code", i64::from(status));
    if status >= 500 {
        telemetry::failed(&span, response.status().as_str());
    }
    Ok(response)
}

fn listen(
    address: SocketAddr,
    state: web::Data<State>,
    configure: fn(&mut web::ServiceConfig),
) -> anyhow::Result<(SocketAddr, ServerHandle)> {
    let listener = TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address}; is the port in use?"))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .configure(configure)
            .wrap(from_fn(trace))
    });
    let server = server
        .workers(1)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    #[expect(clippy::disallowed_methods, reason = "the handle stops it")]
    tokio::spawn(server);
    Ok((address, handle))
}
