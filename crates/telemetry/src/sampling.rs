//! Which spans are recorded, and which are certain to be kept: a share of the traces that begin here, and what a
//! sampled caller began. Everything else is recorded too, for [`Keep`](super::keep::Keep) to decide.

use opentelemetry::{
    Context, KeyValue, TraceId,
    trace::{Link, SpanKind},
};
use opentelemetry_sdk::trace::{ParentBasedSampler, Sampler, SamplingDecision, SamplingResult, ShouldSample};

use super::Settings;

/// Without an exporter nothing is recorded; ids are made all the same.
pub(super) fn sampler(traces: &Settings) -> Box<dyn ShouldSample> {
    if traces.endpoint.is_none() {
        // A caller that samples is told on to whom we call.
        return Box::new(ParentBasedSampler::new(Sampler::AlwaysOff));
    }
    let share = Recorded(Sampler::TraceIdRatioBased(traces.sample_ratio.into()));
    let undecided = Recorded(Sampler::AlwaysOff);
    Box::new(
        ParentBasedSampler::new(share)
            .with_remote_parent_not_sampled(undecided.clone())
            .with_local_parent_not_sampled(undecided),
    )
}

/// Records what the sampler inside would drop.
#[derive(Clone, Debug)]
struct Recorded(Sampler);

impl ShouldSample for Recorded {
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
            // A job is as interesting as the request that asked for it.
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
