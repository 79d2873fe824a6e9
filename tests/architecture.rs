//! The architecture, checked against `cargo metadata` and the source files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The crates under `crates/`, each of which may depend on those before it.
const ORDER: [&str; 17] = [
    "outcome",
    "resilience",
    "macros",
    "settings",
    "telemetry",
    "runtime",
    "database",
    "cache",
    "upstream",
    "jobs",
    "auth",
    "connections",
    "http_server",
    "management",
    "platform",
    "client",
    "testkit",
];
/// The largest share of the lines under `src/` of crates and services that one crate may have.
const LARGEST_SHARE: f64 = 0.2;
const MAX_LINES_PER_FILE: usize = 400;
const MAX_MEDIAN_LINES: usize = 120;

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the workspace").to_owned()
}

struct Package {
    name: String,
    /// The folder of the package, relative to the root of the workspace.
    folder: String,
    /// Dependencies within the workspace, without those for tests.
    dependencies: Vec<String>,
    dev_dependencies: Vec<String>,
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let names: Vec<String> = packages.iter().map(|package| text(&package["name"])).collect();
    let root = text(&metadata["workspace_root"]);
    let package = |package: &Value| {
        let dependencies = package["dependencies"].as_array().expect("dependencies");
        let in_workspace = |dev: bool| {
            dependencies
                .iter()
                .filter(|dependency| (dependency["kind"] == "dev") == dev)
                .map(|dependency| text(&dependency["name"]))
                .filter(|name| names.contains(name))
                .collect()
        };
        let manifest = text(&package["manifest_path"]);
        let folder = manifest.trim_start_matches(&root).trim_end_matches("/Cargo.toml");
        Package {
            name: text(&package["name"]),
            folder: folder.trim_start_matches('/').to_owned(),
            dependencies: in_workspace(false),
            dev_dependencies: in_workspace(true),
        }
    };
    packages.iter().map(package).collect()
}

#[test]
fn crates_depend_only_on_those_before_them() {
    let position = |name: &str| ORDER.iter().position(|crate_name| *crate_name == name);
    let mut checked = 0;
    for package in packages()
        .iter()
        .filter(|package| package.folder.starts_with("crates/"))
    {
        let own = position(&package.name);
        let own = own.unwrap_or_else(|| panic!("ORDER does not list {}", package.name));
        for dependency in &package.dependencies {
            let before = position(dependency).is_some_and(|other| other < own);
            assert!(before, "{} must not depend on {dependency}", package.name);
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn neither_crates_nor_services_depend_on_a_service() {
    let packages = packages();
    let folder = |name: &str| {
        packages
            .iter()
            .find(|package| package.name == name)
            .map(|package| &package.folder)
    };
    let is_service = |name: &String| folder(name).is_some_and(|folder| folder.starts_with("services/"));
    assert!(is_service(&"api".to_owned()), "`api` is a service");
    for package in &packages {
        // The test above checks the normal dependencies of crates.
        let dependencies = match package.folder.split('/').next() {
            Some("crates") => &package.dev_dependencies,
            Some("services") => &package.dependencies,
            _ => continue,
        };
        let services: Vec<&String> = dependencies.iter().filter(|name| is_service(name)).collect();
        assert!(
            services.is_empty(),
            "{} must not depend on {services:?}",
            package.name
        );
    }
}

#[test]
fn no_crate_exceeds_its_share_of_the_code() {
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for package in packages() {
        if package.folder.starts_with("crates/") || package.folder.starts_with("services/") {
            let lengths = lengths(&root().join(&package.folder).join("src"));
            lines.insert(package.name, lengths.iter().map(|(length, _)| length).sum());
        }
    }
    let all: usize = lines.values().sum();
    let (largest, of_largest) = lines.iter().max_by_key(|(_, lines)| **lines).expect("crates");
    let share = *of_largest as f64 / all as f64;
    assert!(
        share <= LARGEST_SHARE,
        "{largest} has {of_largest} of {all} lines"
    );
}

#[test]
fn files_are_short() {
    let folders = ["crates", "services", "tests", "tools"];
    let mut lengths: Vec<_> = folders
        .iter()
        .flat_map(|folder| lengths(&root().join(folder)))
        .collect();
    lengths.sort();
    let (longest, file) = lengths.last().expect("there are files");
    assert!(*longest <= MAX_LINES_PER_FILE, "{file} has {longest} lines");
    let median = lengths[lengths.len() / 2].0;
    assert!(
        median <= MAX_MEDIAN_LINES,
        "half of the files have more than {median} lines"
    );
}

/// A problem type that no list contains would be neither documented nor tested.
#[test]
fn every_problem_type_is_in_a_list() {
    let mut declared = 0;
    let has_code =
        |package: &Package| !package.folder.starts_with("tests") && !package.folder.starts_with("tools");
    for package in packages().into_iter().filter(has_code) {
        let texts = sources(&root().join(&package.folder).join("src")).into_iter();
        let source: String = texts.map(|(_, text)| text).collect();
        let declarations = source
            .lines()
            .filter_map(|line| line.strip_prefix("pub static ")?.split_once(": ProblemType ="));
        for (name, _) in declarations {
            declared += 1;
            let listed = [",", "]"]
                .iter()
                .any(|end| source.contains(&format!("&{name}{end}")));
            assert!(listed, "{}: {name} is in no list of problem types", package.name);
        }
    }
    assert!(declared > 20, "{declared}");
}

fn lengths(folder: &Path) -> Vec<(usize, String)> {
    let sources = sources(folder).into_iter();
    sources.map(|(path, text)| (text.lines().count(), path)).collect()
}

/// The path and the text of every Rust file below a folder.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            found.push((path.display().to_string(), text));
        }
    }
    found
}
