//! Keeps every trace that failed or was slow, whatever the sampling said. Unsampled spans are held per trace until
//! the local root ends: the span whose parent is elsewhere or nowhere. Then all go on, or none.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
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

/// Spans held for one trace; a request that makes more is odd already.
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
    traces: Mutex<Traces>,
}

#[derive(Debug, Default)]
struct Traces {
    /// Those with a local root that has not ended. Requests in flight and jobs bound their number.
    open: HashMap<TraceId, Held>,
    /// Spans in all of them.
    held: usize,
    kept: HashSet<TraceId>,
    kept_in_order: VecDeque<TraceId>,
}

#[derive(Debug, Default)]
struct Held {
    /// A caller may give several requests of its own the same trace.
    roots: usize,
    spans: Vec<SpanData>,
    /// Those that there was no room for: lost, should the trace be kept.
    missed: usize,
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
            traces: Mutex::default(),
        }
    }

    fn traces(&self) -> MutexGuard<'_, Traces> {
        self.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A child: held, unless its trace is decided.
    fn child(&self, span: SpanData) -> Vec<SpanData> {
        let mut traces = self.traces();
        let traces = &mut *traces;
        let trace = span.span_context.trace_id();
        if traces.kept.contains(&trace) {
            return vec![span];
        }
        // Without a root that is open, its trace was decided against.
        if let Some(held) = traces.open.get_mut(&trace) {
            if held.spans.len() < SPANS_PER_TRACE && traces.held < SPANS_IN_ALL {
                traces.held += 1;
                held.spans.push(span);
            } else {
                held.missed += 1;
            }
        }
        Vec::new()
    }

    /// A local root: it decides for itself and what is below it.
    fn root(&self, span: SpanData) -> Vec<SpanData> {
        let mut traces = self.traces();
        let traces = &mut *traces;
        let (trace, id) = (span.span_context.trace_id(), span.span_context.span_id());
        let lasted = span.end_time.duration_since(span.start_time).unwrap_or_default();
        if matches!(span.status, Status::Error { .. }) || lasted >= self.slow {
            traces.keep(trace);
        }
        let kept = traces.kept.contains(&trace);
        let mut released = Vec::new();
        if let Some(held) = traces.open.get_mut(&trace) {
            let before = held.spans.len();
            held.roots = held.roots.saturating_sub(1);
            if kept {
                released = std::mem::take(&mut held.spans);
                dropped("held", std::mem::take(&mut held.missed));
            } else {
                // Others of the same trace go on: what was this one's goes, or it would take their room.
                held.spans.retain(|child| child.parent_span_id != id);
            }
            if held.roots == 0 {
                held.spans.clear();
            }
            traces.held -= before - held.spans.len();
            if held.roots == 0 {
                traces.open.remove(&trace);
            }
        }
        if kept {
            released.push(span);
        }
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
