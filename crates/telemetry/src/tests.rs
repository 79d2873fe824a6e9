//! Tests of tail sampling: which traces are exported, and how much is buffered.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{Span as _, SpanContext, Status, TraceContextExt, TraceState, Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracer, SdkTracerProvider, Span, SpanData, SpanProcessor},
};

use super::{
    sampling::sampler,
    tail_sampling::{MAX_SPANS_PER_TRACE, TailSampler},
};
use crate::Settings;

const SLOW: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default)]
struct CollectedSpans(Arc<Mutex<Vec<SpanData>>>);

impl CollectedSpans {
    fn names(&self) -> Vec<String> {
        let spans = self.0.lock().expect("no panic");
        spans.iter().map(|span| span.name.to_string()).collect()
    }
}

impl SpanProcessor for CollectedSpans {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().expect("no panic").push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn settings(sample_ratio: f32) -> Settings {
    Settings {
        endpoint: Some("http://127.0.0.1:1".parse().expect("a valid address")),
        sample_ratio,
        slow_threshold: SLOW,
        export_timeout: Duration::from_secs(3),
        queue_size: 2_048,
    }
}

fn tracer_of(sample_ratio: f32) -> (SdkTracer, CollectedSpans) {
    let exported = CollectedSpans::default();
    let provider = SdkTracerProvider::builder()
        .with_sampler(sampler(&settings(sample_ratio)))
        .with_span_processor(TailSampler::new(exported.clone(), SLOW))
        .build();
    (provider.tracer("test"), exported)
}

fn child(tracer: &SdkTracer, name: &'static str, parent: &Context) {
    tracer.start_with_context(name, parent).end();
}

#[test]
fn a_failed_root_is_exported_with_its_children_even_late_ones() {
    let (tracer, exported) = tracer_of(0.0);
    let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
    child(&tracer, "early", &root);
    assert!(exported.names().is_empty(), "not decided yet");
    root.span().set_status(Status::error(""));
    root.span().end();
    child(&tracer, "late", &root);
    assert_eq!(exported.names(), ["early", "root", "late"]);
}

#[test]
fn a_successful_root_exports_nothing_not_even_late_children() {
    let (tracer, exported) = tracer_of(0.0);
    let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
    child(&tracer, "early", &root);
    root.span().end();
    child(&tracer, "late", &root);
    assert!(exported.names().is_empty());
}

#[test]
fn a_slow_root_is_exported() {
    let (tracer, exported) = tracer_of(0.0);
    let mut root = tracer.start_with_context("root", &Context::new());
    root.end_with_timestamp(SystemTime::now() + SLOW);
    assert_eq!(exported.names(), ["root"]);
}

#[test]
fn a_sample_ratio_of_one_exports_everything() {
    let (tracer, exported) = tracer_of(1.0);
    let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
    child(&tracer, "child", &root);
    root.span().end();
    assert_eq!(exported.names(), ["child", "root"]);
}

/// A caller that sends several requests in one trace, which it does not sample.
fn caller() -> Context {
    let caller = SpanContext::new(
        TraceId::from(7),
        SpanId::from(7),
        TraceFlags::NOT_SAMPLED,
        true,
        TraceState::NONE,
    );
    Context::new().with_remote_span_context(caller)
}

/// The parent is in another process: this process decides about its own part of the trace, once per request.
#[test]
fn two_requests_of_one_trace_are_decided_separately() {
    let (tracer, exported) = tracer_of(0.0);
    let caller = caller();
    let start = |name| Context::new().with_span(tracer.start_with_context(name, &caller));
    let (first, second) = (start("first"), start("second"));
    child(&tracer, "of the first", &first);
    first.span().end();
    second.span().set_status(Status::error(""));
    second.span().end();
    assert_eq!(
        exported.names(),
        ["second"],
        "the spans of the first were discarded"
    );
    // Otherwise, a caller that reuses an id once fails keeps every trace after it.
    let third = start("third");
    child(&tracer, "of the third", &third);
    third.span().end();
    assert_eq!(
        exported.names(),
        ["second"],
        "the third has a decision of its own"
    );
}

#[test]
fn the_spans_buffered_for_one_trace_are_bounded() {
    let (tracer, exported) = tracer_of(0.0);
    let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
    for _ in 0..MAX_SPANS_PER_TRACE + 50 {
        child(&tracer, "child", &root);
    }
    root.span().set_status(Status::error(""));
    root.span().end();
    assert_eq!(exported.names().len(), MAX_SPANS_PER_TRACE + 1);

    // A trace that never ends does not fill the buffer.
    let (tracer, exported) = tracer_of(0.0);
    let caller = caller();
    let _open = tracer.start_with_context("open", &caller);
    for _ in 0..MAX_SPANS_PER_TRACE {
        let fine = Context::new().with_span(tracer.start_with_context("fine", &caller));
        child(&tracer, "of a fine root", &fine);
        fine.span().end();
    }
    let failed = Context::new().with_span(tracer.start_with_context("failed", &caller));
    child(&tracer, "of the failed root", &failed);
    failed.span().set_status(Status::error(""));
    failed.span().end();
    assert_eq!(exported.names(), ["of the failed root", "failed"]);
}
