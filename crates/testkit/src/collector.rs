//! A trace collector (OTLP over HTTP) that stores the spans it receives, or fails as the test chooses.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{App, HttpResponse, HttpServer, rt::System, web};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value,
    trace::v1::{Span, status::StatusCode},
};
use prost::Message;

/// The id of the caller's span in the `traceparent` of [`new_trace`].
pub const CALLER: &str = "00f067aa0ba902b7";
const TIMEOUT: Duration = Duration::from_secs(20);

/// The collector that all apps in this test process export to.
pub(crate) static COLLECTOR: LazyLock<Collector> = LazyLock::new(Collector::start);

/// The behavior of a collector.
#[derive(Clone, Copy, Debug)]
pub enum CollectorBehavior {
    /// Accepts spans.
    Accept = 0,
    /// Never responds.
    Hang = 1,
    /// Responds with 503.
    Reject = 2,
}

#[derive(Debug, Default)]
struct State {
    behavior: AtomicU8,
    spans: Mutex<Vec<Span>>,
}

/// A collector that runs in its own thread.
#[derive(Clone, Debug)]
pub struct Collector {
    /// The socket address of the collector.
    pub address: SocketAddr,
    state: Arc<State>,
}

impl Collector {
    /// Starts a collector that accepts spans.
    ///
    /// # Panics
    /// When no port is free.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::<State>::default();
        let shared = web::Data::from(state.clone());
        std::thread::spawn(move || {
            let server = HttpServer::new(move || {
                App::new()
                    .app_data(shared.clone())
                    .app_data(web::PayloadConfig::new(64 * 1024 * 1024))
                    .route("/v1/traces", web::post().to(export))
            });
            let server = server.workers(1).disable_signals().listen(listener);
            System::new().block_on(server.expect("a bound listener").run())
        });
        Self { address, state }
    }

    /// Changes the behavior of the collector from now on.
    pub fn set(&self, behavior: CollectorBehavior) {
        self.state.behavior.store(behavior as u8, Ordering::Relaxed);
    }

    /// Every span received so far.
    pub fn spans(&self) -> Vec<Span> {
        let spans = self.state.spans.lock();
        spans.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn export(state: web::Data<State>, body: web::Bytes) -> HttpResponse {
    match state.behavior.load(Ordering::Relaxed) {
        1 => std::future::pending().await,
        2 => return HttpResponse::ServiceUnavailable().finish(),
        _ => {}
    }
    let request = ExportTraceServiceRequest::decode(body).expect("the body is OTLP");
    let scopes = request
        .resource_spans
        .into_iter()
        .flat_map(|resource| resource.scope_spans);
    let mut spans = state.spans.lock().unwrap_or_else(PoisonError::into_inner);
    spans.extend(scopes.flat_map(|scope| scope.spans));
    HttpResponse::Ok().finish()
}

/// A new trace, as a caller would start it: the trace id, and the `traceparent` header with the `sampled` flag.
pub fn new_trace(sampled: bool) -> (String, String) {
    let trace_id = uuid::Uuid::new_v4().simple().to_string();
    let traceparent = format!("00-{trace_id}-{CALLER}-{:02x}", u8::from(sampled));
    (trace_id, traceparent)
}

/// Every span that this test process has exported so far.
pub fn spans() -> Vec<Span> {
    COLLECTOR.spans()
}

/// Waits until `complete` accepts the spans of a trace; returns them.
///
/// # Panics
/// After 20 s.
pub async fn wait_for_spans(trace_id: &str, complete: impl Fn(&[Span]) -> bool) -> Vec<Span> {
    let started = Instant::now();
    loop {
        let mut spans = spans();
        spans.retain(|span| hex(&span.trace_id) == trace_id);
        if complete(&spans) {
            return spans;
        }
        let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
        assert!(started.elapsed() < TIMEOUT, "trace {trace_id} has only {names:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The value of a span attribute as text; empty when there is none.
pub fn attribute(span: &Span, key: &str) -> String {
    let value = span.attributes.iter().find(|attribute| attribute.key == key);
    match value.and_then(|attribute| attribute.value.clone()?.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => other.map(|value| format!("{value:?}")).unwrap_or_default(),
    }
}

/// Whether the status of the span is an error.
pub fn is_error(span: &Span) -> bool {
    span.status
        .as_ref()
        .is_some_and(|status| status.code() == StatusCode::Error)
}

/// A trace or span id in lowercase hexadecimal, as in W3C Trace Context.
pub fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
