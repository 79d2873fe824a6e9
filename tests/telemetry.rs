//! Nothing in a rule, dashboard or runbook is dead: `make telemetry-check`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use reqwest::Method;
use testkit::{
    Mode, RawConnection,
    notes::{NOTES, Notes},
    queries::{Query, names, of_analyses, of_dashboards, of_rules, of_runbooks, rules, yaml_files},
    scrape::Scrape,
};

use crate::TestApp;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn all_rules() -> Vec<(String, serde_json::Value)> {
    rules(&yaml_files(&project("observability/prometheus/rules")))
}

fn all_queries() -> Vec<Query> {
    let mut queries = of_rules(&all_rules());
    queries.extend(of_dashboards(&project("observability/grafana/dashboards")));
    queries.extend(of_runbooks(&project("docs/runbooks")));
    queries.extend(of_analyses(&yaml_files(&project("k8s/analysis"))));
    queries
}

/// What the queries name and the scrape does not have, in words.
fn dead(queries: &[Query], scrape: &Scrape) -> Vec<String> {
    let mut dead = Vec::new();
    let parsed: Vec<_> = queries.iter().map(|query| (query, names(query))).collect();
    // The labels of a recorded series are those of what it is made of; recorded in the order of the files.
    let mut recorded: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for _ in 0..3 {
        for (query, names) in &parsed {
            if let (Some(name), Ok(names)) = (&query.records, names) {
                let made_of = names
                    .selections
                    .iter()
                    .map(|selection| recorded.get(&selection.metric));
                let labels = made_of
                    .flatten()
                    .flatten()
                    .chain(&names.labels)
                    .cloned()
                    .collect();
                recorded.insert(name.clone(), labels);
            }
        }
    }
    for (query, names) in parsed {
        let names = match names {
            Ok(names) => names,
            Err(error) => {
                dead.push(error);
                continue;
            }
        };
        let mut known: BTreeSet<String> = BTreeSet::from(["le".to_owned()]);
        for selection in &names.selections {
            let metric = &selection.metric;
            if let Some(labels) = recorded.get(metric) {
                known.extend(labels.iter().cloned());
                continue;
            }
            if !scrape.has(metric) {
                dead.push(format!("{}: no metric {metric}", query.place));
                continue;
            }
            known.extend(scrape.labels(metric));
            for (label, operator, value) in &selection.conditions {
                if !scrape.has_value(metric, label, operator, value) {
                    dead.push(format!("{}: {metric} has no {label} like `{value}`", query.place));
                }
            }
        }
        // What label_replace makes is in its own text.
        let made = |label: &String| query.text.contains(&format!("\"{label}\""));
        let unknown = names
            .labels
            .iter()
            .filter(|label| !known.contains(*label) && !made(label));
        dead.extend(unknown.map(|label| format!("{}: no label {label}", query.place)));
    }
    dead
}

/// Scrapes of this service, and of one that has met what the queries ask for.
async fn scraped() -> String {
    let own = TestApp::build().worker().start().await;
    let own = own.management("/metrics").await.text().await.expect("text");
    let app = testkit::TestApp::<Notes>::build()
        .worker()
        .postgres_proxy()
        .start()
        .await;
    app.get("/v1/test/upstream").await;
    let mut connection = RawConnection::open(app.address).await;
    let head = format!(
        "GET /v1/test/endless HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\n\r\n",
        app.token("alice", "test:read")
    );
    connection.send(head).await;
    app.wait_for_in_flight(1).await;
    connection.reset();
    app.postgres.as_ref().expect("asked for").set(Mode::Cut);
    app.request(Method::GET, NOTES).send().await.expect("an answer");
    let began = Instant::now();
    while app.metric("http_server_abandoned_requests_total").await == 0.0 {
        assert!(began.elapsed() < Duration::from_secs(10), "nobody hung up");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    own + &app.management("/metrics").await.text().await.expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_and_label_of_rules_and_dashboards_is_there() {
    let text = scraped().await;
    let queries = all_queries();
    let panels = queries.iter().filter(|query| query.of_panel).count();
    assert!(
        panels > 40 && queries.len() > panels,
        "{panels} of {}",
        queries.len()
    );
    let dead_now = dead(&queries, &Scrape::of(&text));
    assert!(dead_now.is_empty(), "{}", dead_now.join("\n"));

    // The check itself: whatever is renamed is noticed.
    for (name, other) in [
        ("panics_total", "panix_total"),
        ("code_class=\"5xx\"", "code_class=\"5XX\""),
        ("{dependency=", "{needed="),
        ("jobs_oldest_seconds", "jobs_oldest_millis"),
    ] {
        let renamed = text.replace(name, other);
        assert_ne!(renamed, text, "{name} is not in the scrape");
        assert!(
            !dead(&queries, &Scrape::of(&renamed)).is_empty(),
            "nobody misses {name}"
        );
    }
}

#[test]
fn every_alert_is_tested_and_has_a_runbook_and_a_severity() {
    let tests = yaml_files(&project("observability/prometheus/tests"));
    let tested = tests
        .iter()
        .flat_map(|(_, file)| file["tests"].as_array().into_iter().flatten());
    let cases: Vec<_> = tested
        .flat_map(|test| test["alert_rule_test"].as_array().into_iter().flatten())
        .collect();
    let mut alerts = 0;
    for (file, rule) in all_rules() {
        let Some(alert) = rule["alert"].as_str() else {
            continue;
        };
        alerts += 1;
        let of_alert = || cases.iter().filter(|case| case["alertname"] == alert);
        let fires = |case: &serde_json::Value| {
            case["exp_alerts"]
                .as_array()
                .is_some_and(|alerts| !alerts.is_empty())
        };
        assert!(
            of_alert().any(|case| fires(case)),
            "{file}: no test sees {alert} fire"
        );
        assert!(
            of_alert().any(|case| !fires(case)),
            "{file}: no test sees {alert} keep still"
        );
        let runbook = rule["annotations"]["runbook"]
            .as_str()
            .unwrap_or_else(|| panic!("{alert} has no runbook"));
        assert!(project(runbook).is_file(), "{alert}: {runbook} is not there");
        assert!(
            rule["annotations"]["summary"].is_string(),
            "{alert} has no summary"
        );
        let severity = rule["labels"]["severity"].as_str().unwrap_or_default();
        assert!(
            ["page", "ticket"].contains(&severity),
            "{alert}: severity {severity}"
        );
    }
    assert!(alerts > 10, "{alerts}");
}

/// Few requests say nothing: whatever is divided by a number of requests names the floor.
#[test]
fn every_ratio_of_a_rule_has_a_volume_floor() {
    let mut ratios = 0;
    for query in of_rules(&all_rules()) {
        for divisor in names(&query).expect("it parses").divisors {
            ratios += 1;
            let of_the_objective = divisor.contains("objective") && !divisor.contains("requests");
            assert!(
                divisor.contains(":floor") || of_the_objective,
                "{}: / {divisor} has no floor",
                query.place
            );
        }
    }
    assert!(ratios > 5, "{ratios}");
}

/// Links of runbooks, dashboards' words and the documents lead somewhere.
#[test]
fn every_runbook_is_listed_and_every_link_in_one_resolves() {
    let folder = project("docs/runbooks");
    let list = std::fs::read_to_string(folder.join("README.md")).expect("a list");
    for entry in std::fs::read_dir(&folder).expect("runbooks").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(
            name == "README.md" || list.contains(&name),
            "{name} is not listed"
        );
        let text = std::fs::read_to_string(entry.path()).expect("text");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            let elsewhere = path.is_empty() || path.starts_with("http");
            assert!(
                elsewhere || folder.join(path).exists(),
                "{name}: {link} leads nowhere"
            );
        }
    }
}
