//! The sample third party as a program.

use std::{net::SocketAddr, process::ExitCode};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// A third party with fault switches: PUT, GET and DELETE /faults/{quotes|deliveries|notifications} on its management port.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Where the API listens.
    #[arg(long, env = "SUPPLIER_LISTEN", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Where the switches listen.
    #[arg(long, env = "SUPPLIER_MANAGEMENT", default_value = "127.0.0.1:8091")]
    management: SocketAddr,
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(cli: Cli) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let supplier = supplier::start(cli.listen, cli.management)?;
    eprintln!(
        "supplier on {}, its switches on {}",
        supplier.address, supplier.management
    );
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    supplier.stop().await;
    Ok(())
}
