//! Queries to Prometheus, Alertmanager and Jaeger.

#![expect(
    clippy::disallowed_methods,
    reason = "a tool has no shutdown to wait in, and calls what it started"
)]

use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;

use super::{Failure, compose::address};

const POLL_INTERVAL: Duration = Duration::from_millis(500);

async fn get(url: &str) -> Result<Value, Failure> {
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

/// An alert, by its name and one label; an empty label name matches any labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alert {
    /// The value of the label `alertname`.
    pub name: &'static str,
    /// Name and value of another label.
    pub label: (&'static str, &'static str),
}

impl Alert {
    fn matches(&self, labels: &Value) -> bool {
        let (name, value) = self.label;
        labels["alertname"] == self.name && (name.is_empty() || labels[name] == value)
    }

    /// Whether the alert is firing in Prometheus.
    pub(super) async fn fires(&self) -> Result<bool, Failure> {
        let body = get(&format!("{}/api/v1/alerts", address("prometheus", 9090)?)).await?;
        let alerts = body["data"]["alerts"].as_array().cloned().unwrap_or_default();
        Ok(alerts
            .iter()
            .any(|alert| alert["state"] == "firing" && self.matches(&alert["labels"])))
    }

    /// Whether the alert is active in Alertmanager.
    pub(super) async fn is_in_alertmanager(&self) -> Result<bool, Failure> {
        let body = get(&format!(
            "{}/api/v2/alerts?active=true",
            address("alertmanager", 9093)?
        ))
        .await?;
        let alerts = body.as_array().cloned().unwrap_or_default();
        Ok(alerts.iter().any(|alert| self.matches(&alert["labels"])))
    }
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
pub(super) fn link(trace_id: &str) -> Result<String, Failure> {
    Ok(format!("{}/trace/{trace_id}", address("jaeger", 16686)?))
}
