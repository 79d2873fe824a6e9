//! Every query of the rules and dashboards, and what it names.

use std::{collections::BTreeSet, path::Path};

use promql_parser::{
    label::{METRIC_NAME, MatchOp},
    parser::{self, Expr, LabelModifier, VectorMatchCardinality, token},
    util::{ExprVisitor, walk_expr},
};
use serde_json::Value;

/// A query and where it stands.
#[derive(Clone, Debug)]
pub struct Query {
    /// File, and alert, recording rule or panel.
    pub place: String,
    /// PromQL.
    pub text: String,
    /// The series that it records, where it does.
    pub records: Option<String>,
    /// Whether a panel shows it; annotations may well be empty.
    pub of_panel: bool,
}

impl Query {
    /// One that records nothing and is no panel's.
    fn at(place: &str, text: String) -> Self {
        Self {
            place: place.to_owned(),
            text,
            records: None,
            of_panel: false,
        }
    }
}

/// One series that a query selects.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The metric.
    pub metric: String,
    /// Label, operator and value of each condition.
    pub conditions: Vec<(String, MatchOp, String)>,
}

/// What a query names.
#[derive(Debug, Default)]
pub struct Names {
    /// The series that it selects.
    pub selections: Vec<Selection>,
    /// The labels that it groups, joins or fills by.
    pub labels: BTreeSet<String>,
    /// Divisors: each with the text it was parsed from.
    pub divisors: Vec<String>,
}

/// Parses a query.
pub fn names(query: &Query) -> Result<Names, String> {
    let expression = parser::parse(&query.text).map_err(|error| format!("{}: {error}", query.place))?;
    let mut names = Names::default();
    walk_expr(&mut names, &expression).map_err(|error| format!("{}: {error}", query.place))?;
    Ok(names)
}

impl ExprVisitor for Names {
    type Error = String;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, String> {
        let mut grouped = |labels: &[String]| self.labels.extend(labels.iter().cloned());
        match expression {
            Expr::Aggregate(aggregate) => match &aggregate.modifier {
                Some(LabelModifier::Include(labels) | LabelModifier::Exclude(labels)) => {
                    grouped(&labels.labels)
                }
                None => {}
            },
            Expr::Binary(binary) => {
                if let Some(modifier) = &binary.modifier {
                    match &modifier.matching {
                        Some(LabelModifier::Include(labels) | LabelModifier::Exclude(labels)) => {
                            grouped(&labels.labels)
                        }
                        None => {}
                    }
                    if let VectorMatchCardinality::ManyToOne(labels)
                    | VectorMatchCardinality::OneToMany(labels) = &modifier.card
                    {
                        grouped(&labels.labels);
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

/// Every YAML document of a folder, by file name.
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

/// The rules of every group.
pub fn rules(files: &[(String, Value)]) -> Vec<(String, Value)> {
    let mut rules = Vec::new();
    for (file, document) in files {
        for group in document["groups"].as_array().into_iter().flatten() {
            let of_group = group["rules"].as_array().into_iter().flatten();
            rules.extend(of_group.map(|rule| (file.clone(), rule.clone())));
        }
    }
    rules
}

/// The query of each rule.
pub fn of_rules(rules: &[(String, Value)]) -> Vec<Query> {
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

/// The queries by which a canary is judged, for any service and any release.
pub fn of_analyses(files: &[(String, Value)]) -> Vec<Query> {
    let mut queries = Vec::new();
    for (file, template) in files {
        for metric in template["spec"]["metrics"].as_array().into_iter().flatten() {
            let text = metric["provider"]["prometheus"]["query"]
                .as_str()
                .unwrap_or_default();
            // What the engine fills in is a label that Prometheus adds.
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

/// The queries that runbooks have people ask, in blocks of `promql`, a line each.
pub fn of_runbooks(folder: &Path) -> Vec<Query> {
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(folder).expect("runbooks").flatten() {
        let place = entry.file_name().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(entry.path()).expect("text");
        let blocks = text
            .split("```promql\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next());
        for line in blocks.flat_map(str::lines).filter(|line| !line.trim().is_empty()) {
            // The reader puts in a name here.
            let text = line
                .replace("=\"NAME\"", "=~\".+\"")
                .replace("=\"ROUTE\"", "=~\".+\"");
            queries.push(Query::at(&place, text));
        }
    }
    queries
}

/// The queries of every panel, annotation and variable, with what Grafana puts in for its own words.
pub fn of_dashboards(folder: &Path) -> Vec<Query> {
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(folder).expect("dashboards").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(entry.path()).expect("text");
        let dashboard: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        find(&dashboard, &name, &mut queries);
    }
    queries
}

fn find(value: &Value, place: &str, queries: &mut Vec<Query>) {
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
                    // Grafana's own name for the query of an annotation.
                    of_panel: object["refId"] != "Anno",
                    ..Query::at(&place, text)
                });
            }
            object.values().for_each(|value| find(value, &place, queries));
        }
        Value::Array(values) => values.iter().for_each(|value| find(value, place, queries)),
        _ => {}
    }
}
