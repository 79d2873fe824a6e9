//! The layers of the configuration, merged by the crate `config` and read as text.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use config::{Config, Environment, File, FileFormat, Value, ValueKind};

use crate::{ConfigError, DEVELOPMENT, ENVIRONMENT};

const PREFIX: &str = "APP__";
/// `APP__DATABASE__URL__FILE` names a file that holds `database.url`.
const FILE_SUFFIX: &str = "__FILE";

/// The merged layers.
pub(crate) struct Merged {
    /// Every value as text, by `section.key`.
    pub(crate) values: BTreeMap<String, String>,
    /// The keys whose value is in a file (`…__FILE`): it may be a secret, whatever the key.
    pub(crate) in_files: BTreeSet<String>,
    /// The errors of layers that cannot be read.
    pub(crate) errors: Vec<ConfigError>,
}

/// Merges the layers.
pub(crate) fn merged(
    built_in: &str,
    folder: &Path,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Merged {
    let mut errors = Vec::new();
    let (variables, in_files) = resolved(variables, &mut errors);
    let defaults = File::from_str(built_in, FileFormat::Toml);
    let defaults = parsed(
        "default.toml",
        Config::builder().add_source(defaults),
        &mut errors,
    );
    let from_variables = Environment::with_prefix("APP")
        .prefix_separator("__")
        .separator("__")
        .source(Some(variables.into_iter().collect()));
    // The first or the last layer names the environment, and the environment names the file between them.
    let named = Config::builder()
        .add_source(defaults.clone())
        .add_source(from_variables.clone())
        .build()
        .and_then(|layers| layers.get_string(ENVIRONMENT));
    let file = folder.join(format!("{}.toml", named.as_deref().unwrap_or(DEVELOPMENT)));
    let in_folder = File::from(file.as_path())
        .format(FileFormat::Toml)
        .required(false);
    let in_folder = parsed(
        &file.display().to_string(),
        Config::builder().add_source(in_folder),
        &mut errors,
    );
    let all = Config::builder()
        .add_source(defaults)
        .add_source(in_folder)
        .add_source(from_variables)
        .build()
        .and_then(Config::try_deserialize::<BTreeMap<String, Value>>);
    let mut values = BTreeMap::new();
    match all {
        Ok(all) => all
            .into_iter()
            .for_each(|(key, value)| flatten(key, value, &mut values)),
        Err(_) => errors.push(error(
            "APP__",
            "the environment variables cannot be merged with the files",
        )),
    }
    Merged {
        values,
        in_files,
        errors,
    }
}

/// The variables with the prefix, with each `…__FILE` replaced by the content of its file, and the keys that are in
/// files. A file takes precedence over a variable, so that an overlay can move a secret of its base into a file.
fn resolved(
    variables: impl IntoIterator<Item = (String, String)>,
    errors: &mut Vec<ConfigError>,
) -> (BTreeMap<String, String>, BTreeSet<String>) {
    let variables: Vec<_> = variables.into_iter().collect();
    for (name, _) in &variables {
        if let Some(meant) = misspelt(name) {
            errors.push(error(name, format!("sets no key; did you mean {meant}?")));
        }
    }
    let (files, mut resolved): (BTreeMap<_, _>, BTreeMap<_, _>) = variables
        .into_iter()
        .filter(|(name, _)| misspelt(name).is_none())
        .filter(|(name, _)| name.starts_with(PREFIX))
        .partition(|(name, _)| {
            name.strip_suffix(FILE_SUFFIX)
                .is_some_and(|name| segments(name) == 2)
        });
    let mut in_files = BTreeSet::new();
    for (variable, path) in files {
        let name = variable.strip_suffix(FILE_SUFFIX).unwrap_or(&variable).to_owned();
        let key = key_of(&name);
        match fs::read_to_string(&path) {
            // Editors and `echo` end a file with a line break.
            Ok(text) => _ = resolved.insert(name, text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(reason) => {
                resolved.remove(&name);
                errors.push(error(
                    &key,
                    format!("the file {path} of {variable} cannot be read: {reason}"),
                ));
            }
        }
        in_files.insert(key);
    }
    let (resolved, too_short): (BTreeMap<_, _>, BTreeMap<_, _>) =
        resolved.into_iter().partition(|(name, _)| segments(name) >= 2);
    for name in too_short.into_keys() {
        errors.push(error(
            &name,
            "does not name a key; keys are written as APP__SECTION__KEY",
        ));
    }
    (resolved, in_files)
}

/// The variable that was meant by `APP_HTTP__PORT` or `APP__APP__HTTP__PORT`; `None` if the name is not such a mistake.
/// Other programs have variables that begin with `APP_`, too, but without `__`.
fn misspelt(name: &str) -> Option<String> {
    let rest = match name.strip_prefix(PREFIX) {
        Some(rest) => rest.strip_prefix(PREFIX)?,
        None => name.strip_prefix("APP_").filter(|rest| rest.contains("__"))?,
    };
    Some(format!("{PREFIX}{}", rest.trim_start_matches('_')))
}

/// The key that a variable sets.
fn key_of(variable: &str) -> String {
    let key = variable.strip_prefix(PREFIX).unwrap_or(variable);
    key.to_lowercase().replace("__", ".")
}

/// The number of parts of a variable's name after the prefix.
fn segments(variable: &str) -> usize {
    let parts = variable.strip_prefix(PREFIX).unwrap_or(variable).split("__");
    parts.filter(|part| !part.is_empty()).count()
}

/// Builds one layer separately, so that an error names its file.
fn parsed(
    name: &str,
    layer: config::ConfigBuilder<config::builder::DefaultState>,
    errors: &mut Vec<ConfigError>,
) -> Config {
    layer.build().unwrap_or_else(|_| {
        // The library quotes the offending line, which may hold a secret: report only the file.
        errors.push(error(name, "is not valid TOML; check it with a TOML linter"));
        Config::default()
    })
}

fn flatten(path: String, value: Value, values: &mut BTreeMap<String, String>) {
    match value.kind {
        ValueKind::Table(table) => {
            for (key, value) in table {
                flatten(format!("{path}.{key}"), value, values);
            }
        }
        ValueKind::Array(items) => {
            let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
            values.insert(path, items.join(","));
        }
        kind => _ = values.insert(path, kind.to_string()),
    }
}

fn error(key: &str, message: impl Into<String>) -> ConfigError {
    ConfigError {
        key: key.to_owned(),
        message: message.into(),
    }
}
