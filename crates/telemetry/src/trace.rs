//! Trace context: the caller's `traceparent` is continued (W3C Trace Context).

use std::{collections::HashMap, time::Duration};

use opentelemetry::{
    Context,
    propagation::TextMapPropagator,
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::Settings;

/// What to believe of a caller's `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trust {
    /// All of it: a sampled trace is sampled here too.
    SampledFlag,
    /// Only the trace id; this share of the traces is sampled. Otherwise any client could have all of its requests
    /// sampled.
    TraceId {
        /// The share, 0 to 1.
        sample_ratio: f32,
    },
}

/// The trace context of the caller; empty if `traceparent` is missing or invalid. Ignores `tracestate`, whose content
/// the caller controls.
pub fn remote_parent(traceparent: Option<&str>, trust: Trust) -> Context {
    let caller = traceparent.and_then(span_context).map(|caller| match trust {
        Trust::SampledFlag => caller,
        Trust::TraceId { sample_ratio } => {
            let sampled = fastrand::f32() < sample_ratio;
            let flags = caller.trace_flags().with_sampled(sampled);
            let (trace, span, state) = (caller.trace_id(), caller.span_id(), caller.trace_state().clone());
            SpanContext::new(trace, span, flags, true, state)
        }
    });
    caller.map_or_else(Context::new, |caller| {
        Context::new().with_remote_span_context(caller)
    })
}

/// The trace id of the span; a random one if no tracer is installed, so that response bodies and logs always share one.
pub fn trace_id(span: &Span) -> String {
    let context = span.context();
    let span_context = context.span().span_context().clone();
    if span_context.is_valid() {
        span_context.trace_id().to_string()
    } else {
        uuid::Uuid::new_v4().simple().to_string()
    }
}

/// A span for one call to a dependency, as part of a request or a job. Outside both it is disabled: it would be a trace
/// without context. The calling crate needs `tracing`.
#[macro_export]
macro_rules! client_span {
    ($name:literal, $($fields:tt)*) => {
        if ::tracing::Span::current().is_none() {
            ::tracing::Span::none()
        } else {
            ::tracing::info_span!(
                $name,
                otel.kind = "client",
                otel.status_code = ::tracing::field::Empty,
                error.type = ::tracing::field::Empty,
                $($fields)*
            )
        }
    };
}

/// Adds an attribute to the span that its declaration does not name.
pub fn annotate(span: &Span, key: &'static str, value: &str) {
    span.set_attribute(key, value.to_owned());
}

/// Marks the span as failed. `error_type` is one of a bounded set of words, never a message.
pub fn failed(span: &Span, error_type: &str) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", error_type);
}

/// Whether the trace of a request with this result is exported, so that an exemplar may refer to it.
pub fn is_sampled(span: &Span, traces: &Settings, failed: bool, took: Duration) -> bool {
    let sampled = || span.context().span().span_context().is_sampled();
    traces.endpoint.is_some() && (failed || took >= traces.slow_threshold || sampled())
}

/// The `traceparent` of the span, if a tracer is installed.
pub fn traceparent(span: &Span) -> Option<String> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut carrier);
    carrier.remove("traceparent")
}

/// The span context that a `traceparent` names; `None` if it is invalid.
pub fn span_context(traceparent: &str) -> Option<SpanContext> {
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    let span_context = context.span().span_context().clone();
    span_context.is_valid().then_some(span_context)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_that_is_read_says_what_was_read(text in "(00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3])|\\PC{0,80}") {
            if let Some(context) = span_context(&text) {
                prop_assert!(text.contains(&context.trace_id().to_string()));
                prop_assert!(text.contains(&context.span_id().to_string()));
            }
        }

        #[test]
        fn any_valid_context_is_read_and_an_untrusted_flag_is_not_believed(
            trace in 1_u128.., span in 1_u64.., flags: u8
        ) {
            let text = format!("00-{trace:032x}-{span:016x}-{flags:02x}");
            // Flags that are not known yet are ignored (W3C Trace Context, section 3.2.2.5).
            let context = span_context(&text).expect("a valid context");
            prop_assert_eq!(context.trace_id().to_string(), format!("{trace:032x}"));
            prop_assert_eq!(context.is_sampled(), flags & 1 == 1);
            for (ratio, sampled) in [(0.0, false), (1.0, true)] {
                let untrusted = remote_parent(Some(&text), Trust::TraceId { sample_ratio: ratio });
                prop_assert_eq!(untrusted.span().span_context().is_sampled(), sampled);
                prop_assert_eq!(untrusted.span().span_context().trace_id(), context.trace_id());
            }
        }
    }
}
