//! Alerts in Prometheus and Alertmanager.

use serde_json::Value;

use super::{Failure, compose::address, watch::get};

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
