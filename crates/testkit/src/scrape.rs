//! A scrape in OpenMetrics text, as series with their labels.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::MatchOp;

/// What Prometheus adds to every series of a scrape, or makes by itself.
const ADDED: [&str; 4] = ["job", "instance", "service", "rollouts_pod_template_hash"];
const BY_ITSELF: [&str; 2] = ["up", "ALERTS"];

/// What others tell: Argo Rollouts 1.10, with every phase that it knows (its `controller/metrics/rollouts.go`).
const OF_OTHERS: [&str; 7] = [
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
    /// Reads the text, and adds what others tell.
    pub fn of(text: &str) -> Self {
        let mut scrape = Self::default();
        let lines = text.lines().chain(OF_OTHERS);
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

    /// Whether there is such a metric.
    pub fn has(&self, metric: &str) -> bool {
        self.0.contains_key(metric) || BY_ITSELF.contains(&metric)
    }

    /// The labels that a metric has, with those that Prometheus adds.
    pub fn labels(&self, metric: &str) -> BTreeSet<String> {
        let series = self.0.get(metric).into_iter().flatten();
        let labels = series.flat_map(BTreeMap::keys).cloned();
        labels.chain(ADDED.map(str::to_owned)).collect()
    }

    /// Whether any series of the metric has a value for this label that the condition accepts.
    pub fn has_value(&self, metric: &str, label: &str, operator: &MatchOp, value: &str) -> bool {
        if ADDED.contains(&label) {
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
            // What is left out must be there to be left out.
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
