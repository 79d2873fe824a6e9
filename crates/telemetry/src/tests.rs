//! What is kept of a trace that was not sampled, and within which bounds.

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
    keep::{Keep, SPANS_PER_TRACE},
    sampling::sampler,
};
use crate::Settings;

const SLOW: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default)]
struct Recorded(Arc<Mutex<Vec<SpanData>>>);

impl Recorded {
    fn names(&self) -> Vec<String> {
        let spans = self.0.lock().expect("no panic");
        spans.iter().map(|span| span.name.to_string()).collect()
    }
}

impl SpanProcessor for Recorded {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        assert!(span.span_context.is_sampled(), "collectors refuse what is not");
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
        endpoint: Some("http://127.0.0.1:1".parse().expect("an address")),
        sample_ratio,
        slow: SLOW,
        export_timeout: Duration::from_secs(3),
        queue: 2_048,
    }
}

fn tracer_of(sample_ratio: f32) -> (SdkTracer, Recorded) {
    let recorded = Recorded::default();
    let provider = SdkTracerProvider::builder()
        .with_sampler(sampler(&settings(sample_ratio)))
        .with_span_processor(Keep::new(recorded.clone(), SLOW))
        .build();
    (provider.tracer("test"), recorded)
}

fn child(tracer: &SdkTracer, name: &'static str, parent: &Context) {
    tracer.start_with_context(name, parent).end();
}

#[test]
fn a_failed_root_takes_its_children_along_the_late_ones_too() {
    let (tracer, recorded) = tracer_of(0.0);
    let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
    child(&tracer, "early", &root);
    assert!(recorded.names().is_empty(), "undecided");
    root.span().set_status(Status::error(""));
    root.span().end();
    child(&tracer, "late", &root);
    assert_eq!(recorded.names(), ["early", "root", "late"]);
}

#[test]
fn what_went_well_leaves_nothing_behind_not_even_late() {
    let (tracer, recorded) = tracer_of(0.0);
    let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
    child(&tracer, "early", &root);
    root.span().end();
    child(&tracer, "late", &root);
    assert!(recorded.names().is_empty());
}

#[test]
fn what_is_slow_is_kept() {
    let (tracer, recorded) = tracer_of(0.0);
    let mut root = tracer.start_with_context("root", &Context::new());
    root.end_with_timestamp(SystemTime::now() + SLOW);
    assert_eq!(recorded.names(), ["root"]);
}

#[test]
fn everything_is_kept_where_everything_is_sampled() {
    let (tracer, recorded) = tracer_of(1.0);
    let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
    child(&tracer, "child", &root);
    root.span().end();
    assert_eq!(recorded.names(), ["child", "root"]);
}

/// Somebody who calls again and again within one trace, and does not sample it.
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

/// The parent is in another process: this one decides for its own part, once per request.
#[test]
fn two_requests_of_one_trace_are_decided_one_by_one() {
    let (tracer, recorded) = tracer_of(0.0);
    let caller = caller();
    let start = |name| Context::new().with_span(tracer.start_with_context(name, &caller));
    let (first, second) = (start("first"), start("second"));
    child(&tracer, "of the first", &first);
    first.span().end();
    second.span().set_status(Status::error(""));
    second.span().end();
    assert_eq!(recorded.names(), ["second"], "the first one's part went with it");
    let third = start("third");
    child(&tracer, "of the third", &third);
    assert!(
        recorded.names().contains(&"of the third".to_owned()),
        "the trace is kept"
    );
    third.span().end();
}

#[test]
fn one_trace_holds_only_so_many_spans() {
    let (tracer, recorded) = tracer_of(0.0);
    let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
    for _ in 0..SPANS_PER_TRACE + 50 {
        child(&tracer, "child", &root);
    }
    root.span().set_status(Status::error(""));
    root.span().end();
    assert_eq!(recorded.names().len(), SPANS_PER_TRACE + 1);

    // A caller that never lets its trace end does not fill it up.
    let (tracer, recorded) = tracer_of(0.0);
    let caller = caller();
    let _open = tracer.start_with_context("open", &caller);
    for _ in 0..SPANS_PER_TRACE {
        let fine = Context::new().with_span(tracer.start_with_context("fine", &caller));
        child(&tracer, "of a fine one", &fine);
        fine.span().end();
    }
    let failed = Context::new().with_span(tracer.start_with_context("failed", &caller));
    child(&tracer, "of the failed one", &failed);
    failed.span().set_status(Status::error(""));
    failed.span().end();
    assert_eq!(recorded.names(), ["of the failed one", "failed"]);
}
