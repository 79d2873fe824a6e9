//! What Prometheus, Alertmanager and Jaeger say.

use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;

use super::{Failure, compose::address};

const LOOK_EVERY: Duration = Duration::from_millis(500);

async fn get(url: &str) -> Result<Value, Failure> {
    let response = Client::new()
        .get(url)
        .timeout(Duration::from_secs(5))
        .send()
        .await?;
    Ok(response.json().await?)
}

/// How many series a query yields.
pub async fn query(promql: &str) -> Result<usize, Failure> {
    let url = format!("{}/api/v1/query", address("prometheus", 9090)?);
    let response = Client::new().get(url).query(&[("query", promql)]).send().await?;
    let told: Value = response.json().await?;
    Ok(told["data"]["result"].as_array().map_or(0, Vec::len))
}

/// An alert by name, and one label that it must have; an empty label name asks for none.
#[derive(Clone, Copy, Debug)]
pub struct Alert {
    /// `alertname`.
    pub name: &'static str,
    /// Name and value.
    pub label: (&'static str, &'static str),
}

impl Alert {
    fn is(&self, labels: &Value) -> bool {
        let (name, value) = self.label;
        labels["alertname"] == self.name && (name.is_empty() || labels[name] == value)
    }

    /// Whether it fires in Prometheus.
    pub async fn fires(&self) -> Result<bool, Failure> {
        let told = get(&format!("{}/api/v1/alerts", address("prometheus", 9090)?)).await?;
        let alerts = told["data"]["alerts"].as_array().cloned().unwrap_or_default();
        Ok(alerts
            .iter()
            .any(|alert| alert["state"] == "firing" && self.is(&alert["labels"])))
    }

    /// Whether Alertmanager has it.
    pub async fn is_known(&self) -> Result<bool, Failure> {
        let told = get(&format!(
            "{}/api/v2/alerts?active=true",
            address("alertmanager", 9093)?
        ))
        .await?;
        let alerts = told.as_array().cloned().unwrap_or_default();
        Ok(alerts.iter().any(|alert| self.is(&alert["labels"])))
    }
}

/// Asks until the answer is as wanted; gives the time that took, none when it took longer than `limit`.
pub async fn until<F>(wanted: bool, limit: Duration, ask: impl Fn() -> F) -> Result<Option<Duration>, Failure>
where
    F: Future<Output = Result<bool, Failure>>,
{
    let began = Instant::now();
    loop {
        // Prometheus or Alertmanager may be busy for a moment; only the limit ends this.
        let answer = ask().await;
        if answer.as_ref().is_ok_and(|answer| *answer == wanted) {
            return Ok(Some(began.elapsed()));
        }
        if began.elapsed() > limit {
            return answer.map(|_| None);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The spans of a trace in Jaeger.
pub async fn spans(trace_id: &str) -> Result<Vec<Value>, Failure> {
    let told = get(&format!("{}/api/traces/{trace_id}", address("jaeger", 16686)?)).await?;
    Ok(told["data"][0]["spans"].as_array().cloned().unwrap_or_default())
}

/// Where a person looks at a trace.
pub fn link(trace_id: &str) -> Result<String, Failure> {
    Ok(format!("{}/trace/{trace_id}", address("jaeger", 16686)?))
}
