//! Queries to Prometheus and Jaeger.

#![expect(
    clippy::disallowed_methods,
    reason = "a tool has no shutdown to wait in, and calls what it started"
)]

use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;

use super::{Failure, compose::address};

const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The JSON at `url`.
pub(super) async fn get(url: &str) -> Result<Value, Failure> {
    let response = Client::new()
        .get(url)
        .timeout(Duration::from_secs(5))
        .send()
        .await?;
    Ok(response.json().await?)
}

/// Runs an instant query and returns the number of series.
pub(super) async fn query(promql: &str) -> Result<usize, Failure> {
    let url = format!("{}/api/v1/query", address("prometheus", 9090)?);
    let response = Client::new().get(url).query(&[("query", promql)]).send().await?;
    let body: Value = response.json().await?;
    Ok(body["data"]["result"].as_array().map_or(0, Vec::len))
}

/// Polls `check` until it returns `wanted`; returns the time that took, or `None` after `limit`.
pub(super) async fn until<F>(
    wanted: bool,
    limit: Duration,
    check: impl Fn() -> F,
) -> Result<Option<Duration>, Failure>
where
    F: Future<Output = Result<bool, Failure>>,
{
    let began = Instant::now();
    loop {
        // Prometheus or Alertmanager may be busy for a moment: an error counts only once the limit has passed.
        let result = check().await;
        if result.as_ref().is_ok_and(|result| *result == wanted) {
            return Ok(Some(began.elapsed()));
        }
        if began.elapsed() > limit {
            return result.map(|_| None);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The spans that Jaeger has of a trace.
pub(super) async fn spans(trace_id: &str) -> Result<Vec<Value>, Failure> {
    let body = get(&format!("{}/api/traces/{trace_id}", address("jaeger", 16686)?)).await?;
    Ok(body["data"][0]["spans"].as_array().cloned().unwrap_or_default())
}

/// The address of a trace in Jaeger's user interface.
pub(crate) fn link(trace_id: &str) -> Result<String, Failure> {
    Ok(format!("{}/trace/{trace_id}", address("jaeger", 16686)?))
}
