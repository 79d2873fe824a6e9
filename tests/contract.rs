//! The contract and the architecture, held against the code.

use std::{collections::BTreeMap, path::Path, process::Command};

use api::{problems::CATALOGUE, service::SERVICE};
use platform::http::document;
use serde_json::Value;
use testkit::NOTES;

const NOTE: &str = "/v1/test/notes/{id}";

fn contract() -> Value {
    serde_json::to_value(document(testkit::configure, SERVICE.catalogue, SERVICE.version))
        .expect("it serializes")
}

#[test]
fn every_error_of_the_contract_is_in_the_catalogue_under_its_status() {
    let contract = contract();
    let mut checked = 0;
    for (path, item) in contract["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            for (status, response) in operation["responses"].as_object().expect("responses") {
                let Some(content) = response["content"].get("application/problem+json") else {
                    continue;
                };
                let codes = &content["schema"]["allOf"][1]["properties"]["code"]["enum"];
                let codes: Vec<&str> = codes
                    .as_array()
                    .expect("an enum")
                    .iter()
                    .filter_map(Value::as_str)
                    .collect();
                let examples: Vec<&String> = content["examples"]
                    .as_object()
                    .expect("examples")
                    .keys()
                    .collect();
                assert_eq!(codes, examples, "{method} {path} {status}");
                for code in codes {
                    let row = CATALOGUE.find(code).expect("in the catalogue");
                    assert_eq!(row.status.as_u16().to_string(), *status, "{code}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 50, "{checked}");
}

#[test]
fn operations_declare_the_layers_in_front_of_them() {
    let contract = contract();
    let codes = |path: &str, method: &str, status: u16| {
        platform::http::openapi::declared_codes(&contract, path, method, status)
    };
    assert_eq!(
        codes(NOTES, "POST", 400),
        ["idempotency-key-missing", "invalid-request", "malformed-json"]
    );
    assert_eq!(codes(NOTES, "POST", 413), ["content-too-large"]);
    assert_eq!(codes(NOTE, "GET", 404), ["route-not-found"]);
    assert_eq!(codes(NOTE, "GET", 400), ["invalid-path", "invalid-request"]);
    assert_eq!(codes(NOTE, "GET", 413), [""; 0]);
    assert_eq!(codes(NOTES, "GET", 401), ["unauthenticated"]);
    assert!(codes("/problems", "GET", 401).is_empty());
    assert_eq!(contract["x-problems"].as_array().expect("a list").len(), 3);
}

/// Dependencies point one way: outcome ← resilience ← platform ← services.
#[test]
fn crates_depend_on_each_other_only_as_designed() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let names: Vec<&str> = packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();
    let allowed: BTreeMap<&str, &[&str]> = [
        ("outcome", &[][..]),
        ("resilience", &[]),
        ("client", &["resilience"]),
        ("platform", &["outcome", "resilience"]),
        ("testkit", &["api", "outcome", "platform"]),
        // The binary that it kills.
        ("acceptance", &["api"]),
    ]
    .into();
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let dependencies = package["dependencies"].as_array().expect("dependencies").iter();
        let ours = dependencies.filter(|dependency| dependency["kind"].is_null());
        let ours = ours
            .filter_map(|dependency| dependency["name"].as_str())
            .filter(|name| names.contains(name));
        let allowed = allowed
            .get(name)
            .copied()
            .unwrap_or(&["outcome", "platform", "resilience"]);
        for dependency in ours {
            assert!(
                allowed.contains(&dependency),
                "{name} must not depend on {dependency}"
            );
        }
    }
}

#[test]
fn files_are_short() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    let mut lengths = Vec::new();
    for folder in ["crates", "services", "tests"] {
        collect(&root.join(folder), &mut lengths);
    }
    lengths.sort();
    let (longest, file) = lengths.last().expect("there are files");
    assert!(*longest <= 400, "{file} has {longest} lines");
    assert!(
        lengths[lengths.len() / 2].0 <= 120,
        "half of the files have more than {}",
        lengths[lengths.len() / 2].0
    );
}

fn collect(folder: &Path, lengths: &mut Vec<(usize, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, lengths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            lengths.push((text.lines().count(), path.display().to_string()));
        }
    }
}
