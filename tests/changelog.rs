//! Names that the changelog lists as renamed are no longer in use.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The cells of a table row, without their backticks.
fn cells(row: &str) -> Vec<&str> {
    let row = row.trim().trim_matches('|');
    row.split(" | ")
        .map(|cell| cell.trim().trim_matches('`'))
        .collect()
}

/// The column `before` of every table under a heading that begins with "Renamed".
fn old_names(changelog: &str) -> Vec<String> {
    let mut names = Vec::new();
    for section in changelog
        .split("\n### ")
        .filter(|section| section.starts_with("Renamed"))
    {
        let mut rows = section.lines().filter(|line| line.starts_with('|'));
        let heading = cells(rows.next().expect("a table under each heading"));
        let before = heading
            .iter()
            .position(|cell| *cell == "before")
            .expect("a column `before`");
        for row in rows.skip(1) {
            let name = cells(row)[before].to_owned();
            // A key of the configuration is a variable, too.
            if section.starts_with("Renamed: configuration") {
                names.push(format!("APP__{}", name.replace('.', "__").to_uppercase()));
            }
            names.push(name);
        }
    }
    names
}

/// Whether `text` contains `name` as a whole: `cache.fresh` is not in `cache.fresh_ttl`.
fn contains(text: &str, name: &str) -> bool {
    let in_a_word = |character: Option<char>| {
        character.is_some_and(|character| character.is_alphanumeric() || "_-".contains(character))
    };
    text.match_indices(name).any(|(start, found)| {
        let (before, after) = (&text[..start], &text[start + found.len()..]);
        let starts_inside = name.starts_with(char::is_alphanumeric) && in_a_word(before.chars().last());
        let ends_inside = name.ends_with(char::is_alphanumeric) && in_a_word(after.chars().next());
        !starts_inside && !ends_inside
    })
}

fn texts_below(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            texts_below(&path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.push((path, text));
        }
    }
}

#[test]
fn no_old_name_is_in_use() {
    // A generated project begins a changelog of its own.
    let Ok(changelog) = fs::read_to_string(project("CHANGELOG.md")) else {
        return;
    };
    let names = old_names(&changelog);
    let mut files = Vec::new();
    for folder in ["services/api/config", "k8s", "observability", "docs"] {
        texts_below(&project(folder), &mut files);
    }
    assert!(
        names.len() > 80 && files.len() > 80,
        "{} names, {} files",
        names.len(),
        files.len()
    );
    let used: Vec<_> = files
        .iter()
        .flat_map(|(path, text)| {
            let used = names.iter().filter(|name| contains(text, name));
            used.map(move |name| format!("{}: {name}", path.display()))
        })
        .collect();
    assert!(used.is_empty(), "{used:#?}");
}

#[test]
fn a_name_is_found_only_as_a_whole() {
    assert!(contains("set `cache.fresh` to 1s.", "cache.fresh"));
    assert!(contains("cache.fresh", "cache.fresh"));
    assert!(!contains("cache.fresh_ttl", "cache.fresh"));
    assert!(contains("up{pool=\"requests\"}", "pool=\"requests\""));
    assert!(!contains(
        "up{db_client_connection_pool_name=\"requests\"}",
        "pool=\"requests\""
    ));
    let changelog =
        "## [1]\n### Renamed: configuration keys\n| before | now |\n|---|---|\n| `a.b` | `a.c` |\n";
    assert_eq!(old_names(changelog), ["APP__A__B", "a.b"]);
}
