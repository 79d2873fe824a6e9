//! `api serve`

use std::time::Duration;

use anyhow::Context;
use platform::{App, config::Settings, telemetry};
use tokio::signal::unix::{SignalKind, signal};

use crate::service::SERVICE;

pub(super) fn run(settings: Settings) -> anyhow::Result<()> {
    let telemetry = telemetry::init(&settings, std::io::stderr)?;
    let flush = settings.shutdown.flush;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(serve(settings));
    runtime.shutdown_timeout(Duration::from_secs(1));
    // Outside the runtime, and bounded: a collector that hangs must not keep the process.
    let (done, flushed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        telemetry.shut_down();
        let _ = done.send(());
    });
    if flushed.recv_timeout(flush).is_err() {
        eprintln!("telemetry was not flushed within {flush:?}");
    }
    result
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let app = App::start(settings, SERVICE)?;
    tracing::info!(api = %app.public.address, management = %app.management.address, "serving");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::select! {
        () = app.shut_down() => Ok(()),
        _ = interrupt.recv() => anyhow::bail!("interrupted again while shutting down"),
    }
}
