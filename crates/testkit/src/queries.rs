//! The `PromQL` queries of rules, dashboards, canary analyses and runbooks, and the names that they use.

use std::{collections::BTreeSet, path::Path};

use promql_parser::{
    label::{METRIC_NAME, MatchOp},
    parser::{self, Expr, LabelModifier, VectorMatchCardinality, token},
    util::{ExprVisitor, walk_expr},
};
use serde_json::Value;

/// A query and its location.
#[derive(Clone, Debug)]
pub struct Query {
    /// The file name, and the alert, recording rule, metric or panel.
    pub place: String,
    /// The query in `PromQL`.
    pub text: String,
    /// The series that the query records, when it belongs to a recording rule.
    pub records: Option<String>,
    /// Whether the query belongs to a panel; the result of an annotation may be empty.
    pub is_panel: bool,
}

impl Query {
    /// A query that records nothing and belongs to no panel.
    fn at(place: &str, text: String) -> Self {
        Self {
            place: place.to_owned(),
            text,
            records: None,
            is_panel: false,
        }
    }
}

/// A series selector in a query.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The metric name.
    pub metric: String,
    /// The label, operator and value of each condition.
    pub conditions: Vec<(String, MatchOp, String)>,
}

/// The names that a query uses.
#[derive(Debug, Default)]
pub struct Names {
    /// The series selectors of the query.
    pub selections: Vec<Selection>,
    /// The labels that the query groups by, joins on, or copies with `group_left` or `group_right`.
    pub labels: BTreeSet<String>,
    /// The divisors of the query, as `PromQL`.
    pub divisors: Vec<String>,
}

/// Parses a query and collects the names that it uses.
///
/// # Errors
/// When the query is not valid `PromQL`.
pub fn names(query: &Query) -> Result<Names, String> {
    let expression = parser::parse(&query.text).map_err(|error| format!("{}: {error}", query.place))?;
    let mut names = Names::default();
    walk_expr(&mut names, &expression).map_err(|error| format!("{}: {error}", query.place))?;
    Ok(names)
}

impl ExprVisitor for Names {
    type Error = String;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, String> {
        let mut add_labels = |labels: &[String]| self.labels.extend(labels.iter().cloned());
        match expression {
            Expr::Aggregate(aggregate) => match &aggregate.modifier {
                Some(LabelModifier::Include(labels) | LabelModifier::Exclude(labels)) => {
                    add_labels(&labels.labels);
                }
                None => {}
            },
            Expr::Binary(binary) => {
                if let Some(modifier) = &binary.modifier {
                    match &modifier.matching {
                        Some(LabelModifier::Include(labels) | LabelModifier::Exclude(labels)) => {
                            add_labels(&labels.labels);
                        }
                        None => {}
                    }
                    if let VectorMatchCardinality::ManyToOne(labels)
                    | VectorMatchCardinality::OneToMany(labels) = &modifier.card
                    {
                        add_labels(&labels.labels);
                    }
                }
                if binary.op.id() == token::T_DIV {
                    self.divisors.push(binary.rhs.to_string());
                }
            }
            Expr::VectorSelector(selector) => self.select(selector),
            Expr::MatrixSelector(matrix) => self.select(&matrix.vs),
            _ => {}
        }
        Ok(true)
    }
}

impl Names {
    fn select(&mut self, selector: &parser::VectorSelector) {
        let conditions = selector
            .matchers
            .matchers
            .iter()
            .filter(|matcher| matcher.name != METRIC_NAME);
        let selection = Selection {
            metric: selector.name.clone().unwrap_or_default(),
            conditions: conditions
                .map(|matcher| (matcher.name.clone(), matcher.op.clone(), matcher.value.clone()))
                .collect(),
        };
        self.selections.push(selection);
    }
}

/// The content of every YAML file in a folder, with its file name.
pub fn yaml_files(folder: &Path) -> Vec<(String, Value)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    let read = |file: &Path| {
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(file).expect("text");
        let value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, value)
    };
    files.iter().map(|file| read(file)).collect()
}

/// The rules of every group, with their file names.
pub fn rules(files: &[(String, Value)]) -> Vec<(String, Value)> {
    let mut rules = Vec::new();
    for (file, document) in files {
        for group in document["groups"].as_array().into_iter().flatten() {
            let group_rules = group["rules"].as_array().into_iter().flatten();
            rules.extend(group_rules.map(|rule| (file.clone(), rule.clone())));
        }
    }
    rules
}

/// The query of each rule.
pub fn rule_queries(rules: &[(String, Value)]) -> Vec<Query> {
    let query = |(file, rule): &(String, Value)| {
        let records = rule["record"].as_str().map(str::to_owned);
        let name = rule["alert"]
            .as_str()
            .or(records.as_deref())
            .expect("a name")
            .to_owned();
        let text = rule["expr"]
            .as_str()
            .map_or_else(|| rule["expr"].to_string(), str::to_owned);
        Query {
            records,
            ..Query::at(&format!("{file}: {name}"), text)
        }
    };
    rules.iter().map(query).collect()
}

/// The queries of the canary analyses, for any service and any release.
pub fn analysis_queries(files: &[(String, Value)]) -> Vec<Query> {
    let mut queries = Vec::new();
    for (file, template) in files {
        for metric in template["spec"]["metrics"].as_array().into_iter().flatten() {
            let text = metric["provider"]["prometheus"]["query"]
                .as_str()
                .unwrap_or_default();
            // The other arguments are values of labels that Prometheus adds, so any value will do.
            let text = text
                .replace("{{args.window}}", "1m")
                .replace("{{args.short-window}}", "15s")
                .replace("{{args.", "")
                .replace("}}", "");
            queries.push(Query::at(&format!("{file}: {}", metric["name"]), text));
        }
    }
    queries
}

/// The queries in the `promql` code blocks of the runbooks, one per line.
pub fn runbook_queries(folder: &Path) -> Vec<Query> {
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(folder).expect("runbooks").flatten() {
        let place = entry.file_name().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(entry.path()).expect("text");
        let blocks = text
            .split("```promql\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next());
        for line in blocks.flat_map(str::lines).filter(|line| !line.trim().is_empty()) {
            // Placeholders that the reader replaces.
            let text = line
                .replace("=\"NAME\"", "=~\".+\"")
                .replace("=\"ROUTE\"", "=~\".+\"")
                .replace("=\"METHOD\"", "=~\".+\"");
            queries.push(Query::at(&place, text));
        }
    }
    queries
}

/// The queries of every panel, annotation and variable, with values in place of Grafana's variables.
pub fn dashboard_queries(folder: &Path) -> Vec<Query> {
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(folder).expect("dashboards").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(entry.path()).expect("text");
        let dashboard: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        collect(&dashboard, &name, &mut queries);
    }
    queries
}

fn collect(value: &Value, place: &str, queries: &mut Vec<Query>) {
    match value {
        Value::Object(object) => {
            let title = object.get("title").and_then(Value::as_str);
            let place = title.map_or_else(
                || place.to_owned(),
                |title| format!("{}: {title}", place.split(':').next().unwrap_or(place)),
            );
            if let Some(text) = object.get("expr").and_then(Value::as_str) {
                let text = text
                    .replace("$__rate_interval", "1m")
                    .replace("$__range", "1h")
                    .replace("$route", ".*");
                queries.push(Query {
                    // Grafana names the query of an annotation `Anno`.
                    is_panel: object["refId"] != "Anno",
                    ..Query::at(&place, text)
                });
            }
            object.values().for_each(|value| collect(value, &place, queries));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, place, queries)),
        _ => {}
    }
}
