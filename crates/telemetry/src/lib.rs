//! Logs, trace identity and metrics.

mod export;
mod keep;
pub mod metrics;
mod panics;
mod sampling;
mod settings;
#[cfg(test)]
mod tests;
mod trace;

pub use self::settings::{LogFormat, LogSettings, Settings};
pub use trace::{annotate, failed, is_kept, remote_parent, span_context, trace_id, traceparent};

use std::{io::IsTerminal, time::Duration};

use anyhow::Context;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing::{Level, Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt,
    registry::LookupSpan,
};

/// Ends telemetry: flushes what is still held.
#[derive(Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
}

impl Telemetry {
    /// Flushes what is still held, at most so long: a collector that hangs must not keep the process. Blocks; call it
    /// outside the runtime.
    pub fn shut_down_within(self, limit: Duration) {
        let (done, flushed) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _ = done.send(self.provider.shutdown_with_timeout(limit));
        });
        match flushed.recv_timeout(limit) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("telemetry was not flushed: {error}"),
            Err(_) => eprintln!("telemetry was not flushed within {limit:?}"),
        }
    }
}

/// Switches logs and traces on for this process: log lines go to `writer`, panics to the log, and every
/// span has a trace id that continues the caller's. Call it outside the runtime.
///
/// # Errors
/// When `log.filter` cannot be parsed, the exporter cannot be made, or telemetry is on already.
pub fn init<W>(service: &str, log: &LogSettings, traces: &Settings, writer: W) -> anyhow::Result<Telemetry>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|_| anyhow::anyhow!("log.filter: expected levels such as `info` or `info,api=debug`"))?;
    let resource = Resource::builder().with_service_name(service.to_owned()).build();
    let mut provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(sampling::sampler(traces));
    if let Some(endpoint) = &traces.endpoint {
        let exporter = export::processor(endpoint, traces).context("telemetry.endpoint cannot be used")?;
        provider = provider.with_span_processor(keep::Keep::new(exporter, traces.slow));
    }
    let provider = provider.build();
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("platform"))
        .with_threads(false)
        .with_location(false)
        .with_tracked_inactivity(false);
    let lines = filter.and(filter_fn(not_silenced).with_max_level_hint(LevelFilter::TRACE));
    let subscriber = tracing_subscriber::registry()
        .with(spans.with_filter(filter_fn(ours).with_max_level_hint(LevelFilter::INFO)))
        .with(log_layer(log.format, writer).with_filter(lines));
    // Without the bridge from the `log` crate: whoever asks it whether a level is on leaves that answer behind in the
    // filters of this thread, and the next span or line of ours is lost (seen with sqlx).
    tracing::subscriber::set_global_default(subscriber)?;
    panics::log_panics();
    Ok(Telemetry { provider })
}

/// The libraries of traces and jobs: the former log each lost batch, which [`export`] tells once and counts; the
/// latter log whole payloads and trace each poll.
const SILENCED: [&str; 2] = ["opentelemetry", "graphile_worker"];

fn ours(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO && not_silenced(metadata)
}

fn not_silenced(metadata: &Metadata<'_>) -> bool {
    !SILENCED
        .iter()
        .any(|library| metadata.target().starts_with(library))
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
