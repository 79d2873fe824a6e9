//! `api probe`: queries a probe of a process on this machine, for images without a shell and without curl.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::Settings;

const TIMEOUT: Duration = Duration::from_secs(2);

/// The probe to query.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Probe {
    /// Whether the event loop runs.
    Livez,
    /// Whether the process is ready for requests.
    Readyz,
    /// Whether the process has started.
    Startupz,
}

/// Fails unless the response has a 2xx status.
pub(super) async fn run(probe: Probe, settings: &Settings) -> anyhow::Result<()> {
    let name = format!("{probe:?}").to_lowercase();
    let url = format!("http://127.0.0.1:{}/{name}", settings.http.management_port);
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
    let response = client.get(&url).send().await;
    let response = response.with_context(|| format!("no response from {url}"))?;
    if !response.status().is_success() {
        bail!(
            "{name} is {}: {}",
            response.status(),
            response.text().await.unwrap_or_default()
        );
    }
    Ok(())
}
