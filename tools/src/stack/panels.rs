//! Checks that every panel of the dashboards has data.

use std::{path::Path, time::Duration};

use testkit::queries::dashboard_queries;

use super::{
    EVERY, Failure,
    compose::{address, caller_of},
    watch::{query, until},
};
use crate::load::Load;

/// The longest range of a panel's query, plus some scrapes.
const FILLED_WITHIN: Duration = Duration::from_secs(150);

/// Runs each panel's query against Prometheus, under load; an error lists the panels without data.
pub(super) async fn run() -> Result<(), Failure> {
    address("prometheus", 9090)?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../observability/grafana/dashboards");
    let panels: Vec<_> = dashboard_queries(&folder)
        .into_iter()
        .filter(|query| query.is_panel)
        .collect();
    let _load = Load::start(caller_of("panels").await?.with_pages(), EVERY);
    let mut empty = Vec::new();
    for panel in &panels {
        let has_data = async || Ok(query(&panel.text).await? > 0);
        if until(true, FILLED_WITHIN, has_data).await?.is_none() {
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
        Err(format!("no data in: {}", empty.join("; ")).into())
    }
}
