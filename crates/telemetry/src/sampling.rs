//! Head sampling: keeps a fraction of the traces that begin here, and all traces that a caller has sampled. All other
//! spans are recorded too, for [`TailSampler`](super::tail_sampling::TailSampler) to decide.

use opentelemetry::{
    Context, KeyValue, TraceId,
    trace::{Link, SpanKind},
};
use opentelemetry_sdk::trace::{ParentBasedSampler, Sampler, SamplingDecision, SamplingResult, ShouldSample};

use super::Settings;

/// The sampler for these settings. Without an exporter no span is recorded, but trace ids are still generated.
pub(super) fn sampler(traces: &Settings) -> Box<dyn ShouldSample> {
    if traces.endpoint.is_none() {
        // The caller's sampled flag is still propagated to the services we call.
        return Box::new(ParentBasedSampler::new(Sampler::AlwaysOff));
    }
    let ratio = RecordAll(Sampler::TraceIdRatioBased(traces.sample_ratio.into()));
    let undecided = RecordAll(Sampler::AlwaysOff);
    Box::new(
        ParentBasedSampler::new(ratio)
            .with_remote_parent_not_sampled(undecided.clone())
            .with_local_parent_not_sampled(undecided),
    )
}

/// A sampler that records what the inner sampler would drop.
#[derive(Clone, Debug)]
struct RecordAll(Sampler);

impl ShouldSample for RecordAll {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let mut result = self
            .0
            .should_sample(parent, trace_id, name, kind, attributes, links);
        if result.decision == SamplingDecision::Drop {
            // A job is sampled if the request that enqueued it was.
            let linked = links.iter().any(|link| link.span_context.is_sampled());
            result.decision = if linked {
                SamplingDecision::RecordAndSample
            } else {
                SamplingDecision::RecordOnly
            };
        }
        result
    }
}
