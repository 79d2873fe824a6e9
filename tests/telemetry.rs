//! Every metric, label and link that rules, dashboards and runbooks name exists: `make check-telemetry`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use reqwest::Method;
use testkit::{
    Mode, RawConnection,
    notes::{NOTES, Notes},
    queries::{
        Query, analysis_queries, dashboard_queries, names, rule_queries, rules, runbook_queries, yaml_files,
    },
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
    let mut queries = rule_queries(&all_rules());
    queries.extend(dashboard_queries(&project("observability/grafana/dashboards")));
    queries.extend(runbook_queries(&project("docs/runbooks")));
    queries.extend(analysis_queries(&yaml_files(&project("k8s/analysis"))));
    queries
}

/// Describes what the queries name and the scrape lacks.
fn missing(queries: &[Query], scrape: &Scrape) -> Vec<String> {
    let mut missing = Vec::new();
    let parsed: Vec<_> = queries.iter().map(|query| (query, names(query))).collect();
    // A recorded series has the labels of its inputs. Inputs may be recorded themselves, hence several passes.
    let mut recorded: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for _ in 0..3 {
        for (query, names) in &parsed {
            if let (Some(name), Ok(names)) = (&query.records, names) {
                let inputs = names
                    .selections
                    .iter()
                    .map(|selection| recorded.get(&selection.metric));
                let labels = inputs.flatten().flatten().chain(&names.labels).cloned().collect();
                recorded.insert(name.clone(), labels);
            }
        }
    }
    for (query, names) in parsed {
        let names = match names {
            Ok(names) => names,
            Err(error) => {
                missing.push(error);
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
                missing.push(format!("{}: no metric {metric}", query.place));
                continue;
            }
            known.extend(scrape.labels(metric));
            for (label, operator, value) in &selection.conditions {
                if !scrape.has_value(metric, label, operator, value) {
                    missing.push(format!("{}: {metric} has no {label} like `{value}`", query.place));
                }
            }
        }
        // label_replace creates a label that its own text names.
        let created = |label: &String| query.text.contains(&format!("\"{label}\""));
        let unknown = names
            .labels
            .iter()
            .filter(|label| !known.contains(*label) && !created(label));
        missing.extend(unknown.map(|label| format!("{}: no label {label}", query.place)));
    }
    missing
}

/// Scrapes this service, and a test service after provoking the rest of what the queries select.
async fn scrape_all() -> String {
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
    app.request(Method::GET, NOTES).send().await.expect("a response");
    let began = Instant::now();
    while app.metric("http_server_abandoned_requests_total").await == 0.0 {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "no disconnected client is counted"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let with_provider = testkit::TestApp::<Notes>::build()
        .set("auth.algorithm", "RS256")
        .set("auth.jwks_url", "http://127.0.0.1:1/keys")
        .start()
        .await;
    let mut text = own;
    for app in [&app, &with_provider] {
        text += &app.management("/metrics").await.text().await.expect("text");
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_and_label_of_rules_and_dashboards_exists() {
    let text = scrape_all().await;
    let queries = all_queries();
    let panels = queries.iter().filter(|query| query.is_panel).count();
    assert!(
        panels > 40 && queries.len() > panels,
        "{panels} of {}",
        queries.len()
    );
    let absent = missing(&queries, &Scrape::of(&text));
    assert!(absent.is_empty(), "{}", absent.join("\n"));

    // A test of the check itself: it notices renamed metrics and labels.
    for (name, other) in [
        ("panics_total", "panix_total"),
        ("outcome=\"unauthorized\"", "outcome=\"denied\""),
        ("{dependency=", "{needed="),
        ("jobs_oldest_seconds", "jobs_oldest_millis"),
    ] {
        let renamed = text.replace(name, other);
        assert_ne!(renamed, text, "{name} is not in the scrape");
        assert!(
            !missing(&queries, &Scrape::of(&renamed)).is_empty(),
            "the check does not notice that {name} is missing"
        );
    }
}

/// The metrics that `docs/METRICS.md` lists, by the name of their series: type and labels.
fn documented_metrics() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let page = std::fs::read_to_string(project("docs/METRICS.md")).expect("docs/METRICS.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let mut cells = row.split('|').map(str::trim);
        let mut cell = || cells.next().expect("a cell");
        let (name, kind, labels) = (cell().trim_matches('`').to_owned(), cell().to_owned(), cell());
        let labels = labels.split('`').skip(1).step_by(2).map(str::to_owned);
        (name, (kind, labels.collect()))
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_page_lists_each_metric_with_its_labels() {
    let text = scrape_all().await;
    let scrape = Scrape::of(&text);
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let scraped: BTreeMap<_, _> = families
        .map(|family| {
            let (family, kind) = family.split_once(' ').expect("a type");
            let (name, series) = match kind {
                "counter" => (format!("{family}_total"), format!("{family}_total")),
                "histogram" => (family.to_owned(), format!("{family}_count")),
                _ => (family.to_owned(), family.to_owned()),
            };
            let mut labels = scrape.labels(&series);
            for added in ["job", "instance", "rollouts_pod_template_hash"] {
                labels.remove(added);
            }
            if name != "build_info" {
                labels.remove("service");
            }
            (name, (kind.to_owned(), labels))
        })
        .collect();
    let documented = documented_metrics();
    let differences: Vec<_> = scraped
        .iter()
        .filter(|(name, metric)| documented.get(*name) != Some(*metric))
        .chain(documented.iter().filter(|(name, _)| !scraped.contains_key(*name)))
        .collect();
    assert!(
        documented.len() > 20 && differences.is_empty(),
        "{differences:#?}"
    );
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
            "{file}: no test sees {alert} stay silent"
        );
        let runbook = rule["annotations"]["runbook"]
            .as_str()
            .unwrap_or_else(|| panic!("{alert} has no runbook"));
        assert!(project(runbook).is_file(), "{alert}: {runbook} does not exist");
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

/// A few requests prove nothing: a query that divides by a number of requests requires a minimum of them.
#[test]
fn every_ratio_of_a_rule_has_a_volume_floor() {
    let mut ratios = 0;
    for query in rule_queries(&all_rules()) {
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
                "{name}: {link} does not exist"
            );
        }
    }
}
