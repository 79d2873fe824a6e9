//! Parsing of a scrape (`OpenMetrics` text) into series with their labels.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::MatchOp;

/// Labels that Prometheus adds to every series of a scrape.
const ADDED_LABELS: [&str; 4] = ["job", "instance", "service", "rollouts_pod_template_hash"];
/// Metrics that Prometheus itself creates.
const BUILT_IN_METRICS: [&str; 2] = ["up", "ALERTS"];

/// Series of Argo Rollouts 1.10, one for each phase that it defines in `controller/metrics/rollouts.go`.
const ARGO_ROLLOUTS: [&str; 7] = [
    r#"rollout_info{namespace="any",name="api",strategy="canary",phase="Abort"} 1"#,
    r#"rollout_info{namespace="any",name="api",strategy="canary",phase="Completed"} 1"#,
    r#"rollout_info{namespace="any",name="api",strategy="canary",phase="Error"} 1"#,
    r#"rollout_info{namespace="any",name="api",strategy="canary",phase="InvalidSpec"} 1"#,
    r#"rollout_info{namespace="any",name="api",strategy="canary",phase="Paused"} 1"#,
    r#"rollout_info{namespace="any",name="api",strategy="canary",phase="Progressing"} 1"#,
    r#"rollout_info{namespace="any",name="api",strategy="canary",phase="Timeout"} 1"#,
];

/// The series of a scrape, by metric.
#[derive(Debug, Default)]
pub struct Scrape(BTreeMap<String, Vec<BTreeMap<String, String>>>);

impl Scrape {
    /// Parses the text of a scrape, and adds the series of Argo Rollouts.
    pub fn of(text: &str) -> Self {
        let mut scrape = Self::default();
        let lines = text.lines().chain(ARGO_ROLLOUTS);
        for line in lines.filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap_or_default().to_owned();
            let labels = line
                .split_once('{')
                .and_then(|(_, rest)| rest.split_once("} "))
                .map_or("", |(labels, _)| labels);
            scrape.0.entry(name).or_default().push(labels_of(labels));
        }
        scrape
    }

    /// Whether the metric exists.
    pub fn has(&self, metric: &str) -> bool {
        self.0.contains_key(metric) || BUILT_IN_METRICS.contains(&metric)
    }

    /// The labels of a metric, including those that Prometheus adds.
    pub fn labels(&self, metric: &str) -> BTreeSet<String> {
        let series = self.0.get(metric).into_iter().flatten();
        let labels = series.flat_map(BTreeMap::keys).cloned();
        labels.chain(ADDED_LABELS.map(str::to_owned)).collect()
    }

    /// Whether any series of the metric has the value of the label that a condition names.
    pub fn has_value(&self, metric: &str, label: &str, operator: &MatchOp, value: &str) -> bool {
        if ADDED_LABELS.contains(&label) {
            return true;
        }
        let mut values = self
            .0
            .get(metric)
            .into_iter()
            .flatten()
            .filter_map(|labels| labels.get(label));
        match operator {
            MatchOp::Equal => values.any(|other| other == value),
            // A condition that excludes a value which no series has is a mistake too.
            MatchOp::NotEqual => values.any(|other| other == value),
            MatchOp::Re(regex) | MatchOp::NotRe(regex) => values.any(|other| regex.is_match(other)),
        }
    }
}

fn labels_of(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split("\",").filter_map(|pair| pair.split_once("=\""));
    pairs
        .map(|(label, value)| (label.to_owned(), value.trim_end_matches('"').to_owned()))
        .collect()
}
