//! Export of spans to the collector. Nothing here makes a request wait: the queue is bounded, a dedicated thread sends,
//! and dropped spans are counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::{
    Context, TraceFlags,
    trace::{SpanContext, Status},
};
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
        // A quarter of the queue is for what went wrong, so that many sampled traces do not displace it.
        let chosen_by_chance = span.span_context.is_sampled() && span.status == Status::Unset;
        let limit = self.limit - if chosen_by_chance { self.limit / 4 } else { 0 };
        if self.queued.fetch_add(1, Ordering::AcqRel) >= limit {
            self.queued.fetch_sub(1, Ordering::AcqRel);
            dropped("queue", 1);
        } else {
            self.inner.on_end(with_sampled_flag(span));
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

/// Marks a span as sampled, as every exported span must be.
fn with_sampled_flag(mut span: SpanData) -> SpanData {
    let context = &span.span_context;
    span.span_context = SpanContext::new(
        context.trace_id(),
        context.span_id(),
        TraceFlags::SAMPLED,
        context.is_remote(),
        context.trace_state().clone(),
    );
    span
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use opentelemetry::trace::{Span as _, Tracer, TracerProvider};
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

    use super::*;

    /// A collector that never responds.
    #[derive(Debug)]
    struct Hanging;

    impl SpanExporter for Hanging {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            std::future::pending().await
        }
    }

    /// A collector that keeps what it gets.
    #[derive(Clone, Debug, Default)]
    struct Keeping(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Keeping {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().expect("no panic").extend(batch);
            Ok(())
        }
    }

    /// Every exported span must say so, also one that tail sampling kept.
    #[test]
    fn a_span_that_was_kept_is_marked_as_sampled() {
        let exporter = Keeping::default();
        let processor = BoundedProcessor {
            inner: BatchSpanProcessor::builder(exporter.clone()).build(),
            queued: Arc::default(),
            limit: 8,
        };
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .build();
        let mut span = provider.tracer("test").start("kept");
        span.set_status(Status::error(""));
        let mut kept = span.exported_data().expect("recorded");
        let context = &kept.span_context;
        kept.span_context = SpanContext::new(
            context.trace_id(),
            context.span_id(),
            TraceFlags::NOT_SAMPLED,
            false,
            context.trace_state().clone(),
        );
        processor.on_end(kept);
        processor.force_flush().expect("exported");
        let exported = exporter.0.lock().expect("no panic");
        assert!(exported[0].span_context.is_sampled());
    }

    #[test]
    fn a_quarter_of_the_queue_is_for_failures() {
        let queued = Arc::<AtomicUsize>::default();
        let processor = BoundedProcessor {
            inner: BatchSpanProcessor::builder(Hanging).build(),
            queued: queued.clone(),
            limit: 8,
        };
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .with_span_processor(processor)
            .build();
        let tracer = provider.tracer("test");
        let send = |status: Status| {
            for _ in 0..20 {
                let mut span = tracer.start("span");
                span.set_status(status.clone());
                span.end();
            }
            queued.load(Ordering::Acquire)
        };
        assert_eq!(send(Status::Unset), 6);
        assert_eq!(send(Status::error("")), 8);
        // Shutting down would wait for the collector.
        std::mem::forget(provider);
    }
}
