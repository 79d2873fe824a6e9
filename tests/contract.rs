//! The contract and the architecture, held against the code.

use std::{collections::BTreeMap, path::Path, process::Command};

use api::{SERVICE, problems::CATALOGUE};
use serde_json::Value;
use testkit::assert_contract;

#[test]
fn every_error_of_the_contract_is_in_the_catalogue_under_its_status() {
    let contract = SERVICE.definition().contract().document();
    let contract = serde_json::to_value(contract).expect("it serializes");
    let checked = assert_contract(&contract, CATALOGUE);
    assert!(checked > 10, "{checked}");
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
