//! Logs, traces and metrics.

mod export;
mod identity;
mod json_lines;
mod log_writer;
pub mod metrics;
mod panics;
mod sampling;
mod settings;
mod tail_sampling;
#[cfg(test)]
mod tests;
mod trace;

pub use self::settings::{LogFormat, LogSettings, Settings};
pub use identity::Identity;
pub use log_writer::{LOG_FLUSH, LogWriter, background_writer};
pub use panics::take_panic_backtrace;
pub use trace::{Trust, annotate, failed, is_sampled, remote_parent, span_context, trace_id, traceparent};

use std::{io::IsTerminal, time::Duration};

use anyhow::Context;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt,
    registry::LookupSpan,
};

use self::json_lines::JsonLines;

/// The telemetry of this process, to be shut down at its end.
#[derive(Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
}

impl Telemetry {
    /// Exports the remaining spans within `limit`: a collector that hangs must not keep the process alive. Blocks; call
    /// it outside the runtime.
    pub fn shutdown_within(self, limit: Duration) {
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

/// Sets up logs and traces for this process: log lines go to `writer`, panics are logged, and spans continue the trace
/// of the caller. Call it outside the runtime.
///
/// # Errors
/// When `log.filter` cannot be parsed, the exporter cannot be created, or telemetry is already set up.
pub fn init<W>(
    identity: &Identity,
    log: &LogSettings,
    traces: &Settings,
    writer: W,
) -> anyhow::Result<Telemetry>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|_| anyhow::anyhow!("log.filter: expected levels such as `info` or `info,api=debug`"))?;
    let resource = identity.resource();
    let mut provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(sampling::sampler(traces));
    if let Some(endpoint) = &traces.endpoint {
        let exporter = export::processor(endpoint, traces).context("telemetry.endpoint cannot be used")?;
        provider =
            provider.with_span_processor(tail_sampling::TailSampler::new(exporter, traces.slow_threshold));
    }
    let provider = provider.build();
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("platform"))
        .with_threads(false)
        .with_location(false)
        .with_tracked_inactivity(false);
    let log_filter = filter.and(filter_fn(not_silenced).with_max_level_hint(LevelFilter::TRACE));
    let subscriber = tracing_subscriber::registry()
        .with(spans.with_filter(filter_fn(is_traced).with_max_level_hint(LevelFilter::INFO)))
        .with(log_layer(log.format, writer).with_filter(log_filter));
    // The `log` crate is not bridged: a library that asks it whether a level is enabled would leave the result in the
    // filters of its thread, and the next span or line of ours would be lost (seen with sqlx).
    tracing::subscriber::set_global_default(subscriber)?;
    panics::log_panics();
    Ok(Telemetry { provider })
}

/// The library of traces, whose own events and spans are dropped: it logs each lost batch, which [`export`] logs once and
/// counts.
const SILENCED: &str = "opentelemetry";

fn is_traced(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO && not_silenced(metadata)
}

fn not_silenced(metadata: &Metadata<'_>) -> bool {
    !metadata.target().starts_with(SILENCED)
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
        layer.json().event_format(JsonLines::default()).boxed()
    }
}
