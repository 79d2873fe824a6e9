//! A collector of spans (OTLP over HTTP) that keeps what it gets, or is as bad as the test wants.

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

/// The span of the caller in [`new_trace`].
pub const CALLER: &str = "00f067aa0ba902b7";
const PATIENCE: Duration = Duration::from_secs(20);

/// The one collector of this test process.
pub(crate) static COLLECTOR: LazyLock<Collector> = LazyLock::new(Collector::start);

/// What a collector does with spans.
#[derive(Clone, Copy, Debug)]
pub enum Collecting {
    /// Takes them.
    Well = 0,
    /// Never answers.
    Hanging = 1,
    /// Answers 503.
    Refusing = 2,
}

#[derive(Debug, Default)]
struct State {
    how: AtomicU8,
    spans: Mutex<Vec<Span>>,
}

/// A collector with a thread of its own.
#[derive(Clone, Debug)]
pub struct Collector {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<State>,
}

impl Collector {
    /// One that takes spans.
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
                    .route("/v1/traces", web::post().to(take))
            });
            let server = server.workers(1).disable_signals().listen(listener);
            System::new().block_on(server.expect("a bound listener").run())
        });
        Self { address, state }
    }

    /// From now on it does this.
    pub fn set(&self, how: Collecting) {
        self.state.how.store(how as u8, Ordering::Relaxed);
    }

    /// Every span so far.
    pub fn spans(&self) -> Vec<Span> {
        let spans = self.state.spans.lock();
        spans.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn take(state: web::Data<State>, body: web::Bytes) -> HttpResponse {
    match state.how.load(Ordering::Relaxed) {
        1 => std::future::pending().await,
        2 => return HttpResponse::ServiceUnavailable().finish(),
        _ => {}
    }
    let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
    let scopes = request
        .resource_spans
        .into_iter()
        .flat_map(|resource| resource.scope_spans);
    let mut spans = state.spans.lock().unwrap_or_else(PoisonError::into_inner);
    spans.extend(scopes.flat_map(|scope| scope.spans));
    HttpResponse::Ok().finish()
}

/// A trace of a caller's own: its id, and the `traceparent` that names it as sampled or not.
pub fn new_trace(sampled: bool) -> (String, String) {
    let trace_id = uuid::Uuid::new_v4().simple().to_string();
    let traceparent = format!("00-{trace_id}-{CALLER}-{:02x}", u8::from(sampled));
    (trace_id, traceparent)
}

/// Every span that this process has sent so far.
pub fn spans() -> Vec<Span> {
    COLLECTOR.spans()
}

/// The spans of a trace, as soon as `complete` says that all that are wanted are there.
///
/// # Panics
/// When they are not within 20 seconds.
pub async fn wait_for_spans(trace_id: &str, complete: impl Fn(&[Span]) -> bool) -> Vec<Span> {
    let asked = Instant::now();
    loop {
        let mut spans = spans();
        spans.retain(|span| hex(&span.trace_id) == trace_id);
        if complete(&spans) {
            return spans;
        }
        let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
        assert!(asked.elapsed() < PATIENCE, "of trace {trace_id} only {names:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An attribute as text; empty where there is none.
pub fn attribute(span: &Span, key: &str) -> String {
    let value = span.attributes.iter().find(|attribute| attribute.key == key);
    match value.and_then(|attribute| attribute.value.clone()?.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => other.map(|value| format!("{value:?}")).unwrap_or_default(),
    }
}

/// Whether the span is marked as failed.
pub fn is_error(span: &Span) -> bool {
    span.status
        .as_ref()
        .is_some_and(|status| status.code() == StatusCode::Error)
}

/// An id as W3C Trace Context writes it.
pub fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
