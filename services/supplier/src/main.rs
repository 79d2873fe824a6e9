//! The binary of the sample third party.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use clap::Parser;
use reqwest::Url;
use telemetry::{LogFormat, LogSettings};
use tokio::signal::unix::{SignalKind, signal};

/// Time limit for exporting the last spans at shutdown.
const FLUSH: Duration = Duration::from_secs(2);

/// A third party with fault injection: on the management port, PUT and DELETE /faults/{quotes|deliveries|notifications}
/// change faults, and GET /faults lists them.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Address that the API listens on.
    #[arg(long, env = "SUPPLIER_LISTEN", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Address that the management port listens on.
    #[arg(long, env = "SUPPLIER_MANAGEMENT", default_value = "127.0.0.1:8091")]
    management: SocketAddr,
    /// OTLP/HTTP endpoint for spans, such as <http://jaeger:4318>; without it no spans are exported.
    #[arg(long, env = "SUPPLIER_OTLP_ENDPOINT")]
    otlp_endpoint: Option<Url>,
    /// Probes the supplier running on this host and exits: 0 if it is live.
    #[arg(long)]
    probe: bool,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    if cli.probe {
        return tokio::runtime::Runtime::new()?.block_on(probe(cli.management.port()));
    }
    let log = LogSettings {
        format: LogFormat::Auto,
        filter: "warn".to_owned(),
    };
    let traces = telemetry::Settings {
        endpoint: cli.otlp_endpoint.clone(),
        // A trace is exported if the client sampled it, or if it fails or is slow here.
        sample_ratio: 0.0,
        slow_threshold: Duration::from_secs(1),
        export_timeout: Duration::from_secs(3),
        queue_size: 2_048,
    };
    let identity = telemetry::Identity {
        service: "supplier",
        version: env!("CARGO_PKG_VERSION"),
        revision: None,
        environment: "development",
    };
    let telemetry = telemetry::init(&identity, &log, &traces, std::io::stderr)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(cli));
    runtime.shutdown_background();
    telemetry.shutdown_within(FLUSH);
    served
}

async fn probe(port: u16) -> anyhow::Result<()> {
    let response = reqwest::get(format!("http://127.0.0.1:{port}/livez")).await?;
    response.error_for_status()?;
    Ok(())
}

async fn serve(cli: Cli) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let supplier = supplier::start(cli.listen, cli.management)?;
    eprintln!(
        "supplier on {}, management on {}",
        supplier.address, supplier.management
    );
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    supplier.stop().await;
    Ok(())
}
