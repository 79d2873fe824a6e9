//! Runs a process: telemetry, the Tokio runtime, signals and graceful shutdown.

use anyhow::Context;
use runtime::RUNTIME_STOP;
use telemetry::Identity;
use tokio::signal::unix::{SignalKind, signal};

use crate::{App, Role, Service, Settings};

/// Runs until SIGTERM or Ctrl-C, then shuts down gracefully. Telemetry is flushed in any case, even after an error.
///
/// # Errors
/// When the service cannot start, or Ctrl-C interrupts the shutdown.
pub fn run<C, S>(settings: &C, service: &Service<C, S>, role: Role) -> anyhow::Result<()>
where
    C: AsRef<Settings>,
    S: Send + Sync + 'static,
{
    let common = settings.as_ref();
    let (writer, log) = telemetry::background_writer(std::io::stderr());
    let identity = Identity {
        service: &common.service.name,
        version: service.definition.version,
        revision: common.service.revision.as_deref(),
        environment: common.service.environment.as_str(),
    };
    let telemetry = telemetry::init(&identity, &common.log, &common.telemetry, writer)?;
    let flush = common.shutdown.flush_timeout;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(until_signal(settings, service, role));
    runtime.shutdown_timeout(RUNTIME_STOP);
    telemetry.shutdown_within(flush);
    drop(log);
    result
}

async fn until_signal<C, S>(settings: &C, service: &Service<C, S>, role: Role) -> anyhow::Result<()>
where
    C: AsRef<Settings>,
    S: Send + Sync + 'static,
{
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let app = App::start(settings, service, role)?;
    let api = app
        .public
        .as_ref()
        .map(|public| tracing::field::display(public.address));
    tracing::info!(api, management = %app.management.address, ?role, "serving");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::select! {
        () = app.shutdown() => Ok(()),
        _ = interrupt.recv() => anyhow::bail!("second signal during shutdown; exiting"),
    }
}
