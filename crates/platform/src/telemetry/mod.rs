//! Logs, trace identity and metrics.

pub mod metrics;
mod panics;
mod trace;

pub use trace::{remote_parent, span_context, trace_id, traceparent};

use std::io::IsTerminal;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::config::{LogFormat, Settings};

/// Ends telemetry: flushes what is still held.
#[derive(Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
}

impl Telemetry {
    /// Flushes what is still held. Blocks; call it outside the runtime.
    pub fn shut_down(self) {
        if let Err(error) = self.provider.shutdown() {
            eprintln!("telemetry was not flushed: {error}");
        }
    }
}

/// Switches logs and traces on for this process: log lines go to `writer`, panics to the log, and every
/// span has a trace id that continues the caller's.
///
/// # Errors
/// When `log.filter` cannot be parsed, or telemetry is on already.
pub fn init<W>(settings: &Settings, writer: W) -> anyhow::Result<Telemetry>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.log.filter)
        .map_err(|_| anyhow::anyhow!("log.filter: expected levels such as `info` or `info,api=debug`"))?;
    let resource = Resource::builder()
        .with_service_name(settings.service.name.clone())
        .build();
    let provider = SdkTracerProvider::builder().with_resource(resource).build();
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("platform"))
        .with_threads(false)
        .with_location(false)
        .with_tracked_inactivity(false);
    // The job library logs whole payloads; its spans are of use, its events are not.
    let ours =
        || filter_fn(|metadata| metadata.is_span() || !metadata.target().starts_with("graphile_worker"));
    tracing_subscriber::registry()
        .with(traces.with_filter(ours()))
        .with(log_layer(settings.log.format, writer).with_filter(filter.and(ours())))
        .try_init()?;
    panics::log_panics();
    Ok(Telemetry { provider })
}

fn log_layer<S, W>(format: LogFormat, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let pretty = match format {
        LogFormat::Pretty => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    if pretty {
        layer.with_target(false).boxed()
    } else {
        layer
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed()
    }
}
