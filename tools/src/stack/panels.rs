//! Whether every panel of the dashboards has something to show.

use std::{path::Path, time::Duration};

use testkit::queries::of_dashboards;

use super::{
    EVERY, Failure,
    compose::{address, caller_of},
    load::Load,
    watch::{query, until},
};

/// The longest window that a panel looks back over, and some scrapes.
const FILLED_WITHIN: Duration = Duration::from_secs(150);

/// Runs each panel's query against Prometheus, under load.
pub async fn run() -> Result<(), Failure> {
    address("prometheus", 9090)?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../observability/grafana/dashboards");
    let panels: Vec<_> = of_dashboards(&folder)
        .into_iter()
        .filter(|query| query.of_panel)
        .collect();
    let _load = Load::start(caller_of("panels")?.with_an_order().await?, EVERY);
    let mut empty = Vec::new();
    for panel in &panels {
        let shows = async || Ok(query(&panel.text).await? > 0);
        if until(true, FILLED_WITHIN, shows).await?.is_none() {
            empty.push(panel.place.as_str());
        }
    }
    println!(
        "{} of {} panel queries return data",
        panels.len() - empty.len(),
        panels.len()
    );
    if empty.is_empty() {
        Ok(())
    } else {
        Err(format!("nothing to show in: {}", empty.join("; ")).into())
    }
}
