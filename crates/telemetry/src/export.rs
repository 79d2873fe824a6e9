//! Export of spans to the collector. Nothing here makes a request wait: the queue is bounded, a dedicated thread sends,
//! and dropped spans are counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, RetryPolicy, SpanExporter as Otlp, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};
use url::Url;

use super::{Settings, metrics::dropped};

/// The longest that a span waits for others to be exported with it.
const EXPORT_INTERVAL: Duration = Duration::from_secs(1);

/// A processor that exports spans to the collector at `endpoint`.
///
/// # Errors
/// When the HTTP client cannot be created.
pub(super) fn processor(endpoint: &Url, traces: &Settings) -> Result<BoundedProcessor, ExporterBuildError> {
    let exporter = Otlp::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/')))
        .with_timeout(traces.export_timeout)
        // A batch that fails is dropped: a retry would only delay the next one.
        .with_retry_policy(RetryPolicy::disabled())
        .build()?;
    let queued = Arc::<AtomicUsize>::default();
    let exporter = CountingExporter {
        inner: exporter,
        queued: queued.clone(),
        failing: AtomicBool::new(false),
    };
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(traces.queue_size)
        .with_max_export_batch_size(traces.queue_size.clamp(1, 512))
        .with_scheduled_delay(EXPORT_INTERVAL)
        .build();
    Ok(BoundedProcessor {
        inner: BatchSpanProcessor::builder(exporter)
            .with_batch_config(batches)
            .build(),
        queued,
        limit: traces.queue_size,
    })
}

/// A processor that drops and counts the spans that exceed the queue of the inner one, which would only log them.
#[derive(Debug)]
pub(super) struct BoundedProcessor {
    inner: BatchSpanProcessor,
    queued: Arc<AtomicUsize>,
    limit: usize,
}

impl SpanProcessor for BoundedProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.queued.fetch_add(1, Ordering::AcqRel) >= self.limit {
            self.queued.fetch_sub(1, Ordering::AcqRel);
            dropped("queue", 1);
        } else {
            self.inner.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// An exporter that counts the spans that the collector did not accept. It logs the first failure and the recovery.
#[derive(Debug)]
struct CountingExporter<E> {
    inner: E,
    queued: Arc<AtomicUsize>,
    failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for CountingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.inner.export(batch).await;
        self.queued.fetch_sub(spans, Ordering::AcqRel);
        match &result {
            Ok(()) if self.failing.swap(false, Ordering::Relaxed) => {
                tracing::info!("the collector accepts spans again");
            }
            Ok(()) => {}
            Err(error) => {
                dropped("export", spans);
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the collector rejects spans; they are dropped and counted");
                }
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
