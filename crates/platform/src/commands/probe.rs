//! `api probe`: asks a process on this machine how it is, for images that have no shell and no curl.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::Settings;

const PATIENCE: Duration = Duration::from_secs(2);

/// What to ask for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Probe {
    /// The event loop turns.
    Livez,
    /// It may get requests.
    Readyz,
    /// It has started.
    Startupz,
}

/// Fails unless the answer is 200.
pub(super) async fn run(probe: Probe, settings: &Settings) -> anyhow::Result<()> {
    let name = format!("{probe:?}").to_lowercase();
    let url = format!("http://127.0.0.1:{}/{name}", settings.http.management_port);
    let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
    let response = client.get(&url).send().await;
    let response = response.with_context(|| format!("nobody answers at {url}"))?;
    if !response.status().is_success() {
        bail!(
            "{name} is {}: {}",
            response.status(),
            response.text().await.unwrap_or_default()
        );
    }
    Ok(())
}
