//! Tail sampling: keeps every trace that failed or was slow, even if head sampling did not choose it. Unsampled spans
//! are buffered per trace until the local root ends, the span whose parent is remote or absent. Then all of them are
//! exported, or none. The sampled flag stays as it was: the next processor sees which spans were kept for a reason.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use opentelemetry::trace::Span as _;
use opentelemetry::{
    Context, SpanId, TraceId,
    trace::{Status, TraceContextExt},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};

use super::metrics::dropped;

/// The maximum number of spans buffered for one trace. A request with more is an anomaly anyway.
pub(super) const MAX_SPANS_PER_TRACE: usize = 128;
/// The maximum number of spans buffered in total: a few megabytes.
const MAX_BUFFERED_SPANS: usize = 8_192;
/// The number of sampled traces that are remembered, so that their late children are exported too.
const MAX_SAMPLED_TRACES: usize = 1_024;

/// A span processor in front of the one that exports.
#[derive(Debug)]
pub(super) struct TailSampler<P> {
    next: P,
    slow_threshold: Duration,
    traces: Mutex<Traces>,
}

#[derive(Debug, Default)]
struct Traces {
    /// Traces with a local root that has not ended. The requests and jobs in flight bound their number.
    open: HashMap<TraceId, BufferedTrace>,
    /// The number of spans buffered in all open traces.
    buffered: usize,
    sampled: HashSet<TraceId>,
    sampled_in_order: VecDeque<TraceId>,
}

#[derive(Debug, Default)]
struct BufferedTrace {
    /// The local roots that have not ended. A caller may send several requests in the same trace.
    roots: usize,
    spans: Vec<SpanData>,
    /// The number of spans that exceeded the buffer. They are counted as dropped if the trace is sampled.
    overflow: usize,
}

impl Traces {
    fn mark_sampled(&mut self, trace: TraceId) {
        if self.sampled.insert(trace) {
            self.sampled_in_order.push_back(trace);
        }
        if self.sampled_in_order.len() > MAX_SAMPLED_TRACES
            && let Some(oldest) = self.sampled_in_order.pop_front()
        {
            self.sampled.remove(&oldest);
        }
    }

    fn forget_sampled(&mut self, trace: TraceId) {
        if self.sampled.remove(&trace) {
            self.sampled_in_order.retain(|known| *known != trace);
        }
    }
}

impl<P: SpanProcessor> TailSampler<P> {
    /// A sampler that keeps traces whose local root failed or took at least `slow_threshold`.
    pub(super) fn new(next: P, slow_threshold: Duration) -> Self {
        Self {
            next,
            slow_threshold,
            traces: Mutex::default(),
        }
    }

    fn traces(&self) -> MutexGuard<'_, Traces> {
        self.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Buffers a child that has ended, unless its trace is already decided. Returns the spans to export.
    fn child_ended(&self, span: SpanData) -> Vec<SpanData> {
        let mut traces = self.traces();
        let traces = &mut *traces;
        let trace = span.span_context.trace_id();
        if traces.sampled.contains(&trace) {
            return vec![span];
        }
        // Without an open root, the trace was decided against.
        if let Some(open) = traces.open.get_mut(&trace) {
            if open.spans.len() < MAX_SPANS_PER_TRACE && traces.buffered < MAX_BUFFERED_SPANS {
                traces.buffered += 1;
                open.spans.push(span);
            } else {
                open.overflow += 1;
            }
        }
        Vec::new()
    }

    /// Decides about a local root that has ended, and its children. Returns the spans to export.
    fn root_ended(&self, span: SpanData) -> Vec<SpanData> {
        let mut traces = self.traces();
        let traces = &mut *traces;
        let (trace, id) = (span.span_context.trace_id(), span.span_context.span_id());
        let lasted = span.end_time.duration_since(span.start_time).unwrap_or_default();
        if matches!(span.status, Status::Error { .. }) || lasted >= self.slow_threshold {
            traces.mark_sampled(trace);
        }
        let sampled = traces.sampled.contains(&trace);
        let mut released = Vec::new();
        if let Some(open) = traces.open.get_mut(&trace) {
            let before = open.spans.len();
            open.roots = open.roots.saturating_sub(1);
            if sampled {
                released = std::mem::take(&mut open.spans);
                dropped("buffer", std::mem::take(&mut open.overflow));
            } else {
                // Other roots of the trace may still be open and need the space that this root's children take.
                open.spans.retain(|child| child.parent_span_id != id);
            }
            if open.roots == 0 {
                open.spans.clear();
            }
            traces.buffered -= before - open.spans.len();
            if open.roots == 0 {
                traces.open.remove(&trace);
            }
        }
        if sampled {
            released.push(span);
        }
        released
    }
}

impl<P: SpanProcessor> SpanProcessor for TailSampler<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
        let (own, parent) = (span.span_context(), context.span().span_context().clone());
        if !own.is_sampled() && (!parent.is_valid() || parent.is_remote()) {
            let trace = own.trace_id();
            let mut traces = self.traces();
            let open = traces.open.entry(trace).or_default();
            open.roots += 1;
            // A caller that reuses the id of a trace that has ended gets a new decision: one failure must not keep
            // everything that follows.
            if open.roots == 1 {
                traces.forget_sampled(trace);
            }
        }
    }

    fn on_end(&self, span: SpanData) {
        let released = if span.span_context.is_sampled() {
            vec![span]
        } else if span.parent_span_id == SpanId::INVALID || span.parent_span_is_remote {
            self.root_ended(span)
        } else {
            self.child_ended(span)
        };
        for span in released {
            self.next.on_end(span);
        }
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
