//! Keeps every trace that failed or was slow, whatever the sampling said. Unsampled spans are held per trace until
//! the local root ends: the span whose parent is elsewhere or nowhere. Then all go on, or none.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::trace::Span as _;
use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, Status, TraceContextExt},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};

use super::metrics::dropped;

/// Spans held for one trace; a request that makes more is odd already, and its first ones tell.
pub(super) const SPANS_PER_TRACE: usize = 128;
/// Spans held in all: some megabytes at most.
const SPANS_IN_ALL: usize = 8_192;
/// Traces whose late children are still recognised.
const REMEMBERED: usize = 1_024;

/// In front of the processor that sends.
#[derive(Debug)]
pub(super) struct Keep<P> {
    next: P,
    slow: Duration,
    held: AtomicUsize,
    traces: Mutex<Traces>,
}

#[derive(Debug, Default)]
struct Traces {
    /// Those with a local root that has not ended. Requests in flight and jobs bound their number.
    open: HashMap<TraceId, Held>,
    kept: HashSet<TraceId>,
    kept_in_order: VecDeque<TraceId>,
}

#[derive(Debug, Default)]
struct Held {
    /// A caller may give several requests of its own the same trace.
    roots: usize,
    spans: Vec<SpanData>,
}

impl Traces {
    fn keep(&mut self, trace: TraceId) {
        if self.kept.insert(trace) {
            self.kept_in_order.push_back(trace);
        }
        if self.kept_in_order.len() > REMEMBERED
            && let Some(oldest) = self.kept_in_order.pop_front()
        {
            self.kept.remove(&oldest);
        }
    }
}

impl<P: SpanProcessor> Keep<P> {
    /// Keeps what is an error or lasts `slow`.
    pub(super) fn new(next: P, slow: Duration) -> Self {
        Self {
            next,
            slow,
            held: AtomicUsize::new(0),
            traces: Mutex::default(),
        }
    }

    fn traces(&self) -> MutexGuard<'_, Traces> {
        self.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A child: held, unless its trace is decided.
    fn child(&self, span: SpanData) -> Vec<SpanData> {
        let mut traces = self.traces();
        let trace = span.span_context.trace_id();
        if traces.kept.contains(&trace) {
            return vec![span];
        }
        // Without a root that is open, its trace was decided against.
        let Some(held) = traces.open.get_mut(&trace) else {
            return Vec::new();
        };
        if held.spans.len() >= SPANS_PER_TRACE || self.held.load(Ordering::Relaxed) >= SPANS_IN_ALL {
            dropped("held", 1);
        } else {
            self.held.fetch_add(1, Ordering::Relaxed);
            held.spans.push(span);
        }
        Vec::new()
    }

    /// A local root: it decides for itself and all that was held.
    fn root(&self, span: SpanData) -> Vec<SpanData> {
        let mut traces = self.traces();
        let trace = span.span_context.trace_id();
        let lasted = span.end_time.duration_since(span.start_time).unwrap_or_default();
        let worth = matches!(span.status, Status::Error { .. }) || lasted >= self.slow;
        if worth {
            traces.keep(trace);
        }
        let mut released = Vec::new();
        if let Some(held) = traces.open.get_mut(&trace) {
            held.roots = held.roots.saturating_sub(1);
            if worth || held.roots == 0 {
                released = std::mem::take(&mut held.spans);
                self.held.fetch_sub(released.len(), Ordering::Relaxed);
            }
            if held.roots == 0 {
                traces.open.remove(&trace);
            }
        }
        if !traces.kept.contains(&trace) {
            return Vec::new();
        }
        released.push(span);
        released
    }
}

impl<P: SpanProcessor> SpanProcessor for Keep<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
        let (own, parent) = (span.span_context(), context.span().span_context().clone());
        if !own.is_sampled() && (!parent.is_valid() || parent.is_remote()) {
            self.traces().open.entry(own.trace_id()).or_default().roots += 1;
        }
    }

    fn on_end(&self, span: SpanData) {
        let kept = if span.span_context.is_sampled() {
            vec![span]
        } else if span.parent_span_id == SpanId::INVALID || span.parent_span_is_remote {
            self.root(span)
        } else {
            self.child(span)
        };
        kept.into_iter()
            .map(sampled)
            .for_each(|span| self.next.on_end(span));
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

/// What is kept was sampled, if late.
fn sampled(mut span: SpanData) -> SpanData {
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
