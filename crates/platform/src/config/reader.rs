//! Reads values from all layers and collects what is wrong.

use std::{collections::BTreeMap, fmt, path::Path};

use config::{Config, File, FileFormat, Value, ValueKind};

use super::Setting;

/// One key as it is documented.
#[derive(Clone, Copy, Debug)]
pub struct KeyDoc {
    /// The table in TOML.
    pub section: &'static str,
    /// The key in that table.
    pub key: &'static str,
    /// Its default, as it would be written in an environment variable.
    pub default: &'static str,
    /// What it means.
    pub doc: &'static str,
}

impl KeyDoc {
    /// `section.key`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }
}

/// Something wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// The key, or the file.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl ConfigFault {
    /// A fault of `key`.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// All values as text, by `section.key`.
pub(super) struct Reader {
    values: BTreeMap<String, String>,
    pub(super) faults: Vec<ConfigFault>,
}

impl Reader {
    pub(super) fn new(built_in: &str, folder: &Path, variables: BTreeMap<String, String>) -> Self {
        let mut reader = Self {
            values: BTreeMap::new(),
            faults: Vec::new(),
        };
        reader.add_toml("default.toml", File::from_str(built_in, FileFormat::Toml));
        let variables: BTreeMap<String, String> = variables
            .into_iter()
            .map(|(name, value)| (key_of_variable(&name), value))
            .collect();
        let environment = variables
            .get("service.environment")
            .or(reader.values.get("service.environment"));
        let file = folder.join(format!(
            "{}.toml",
            environment.map_or("development", String::as_str)
        ));
        reader.add_toml(
            &file.display().to_string(),
            File::from(file).format(FileFormat::Toml).required(false),
        );
        reader.values.extend(variables);
        reader
    }

    fn add_toml<T>(&mut self, name: &str, file: File<T, FileFormat>)
    where
        File<T, FileFormat>: config::Source + Send + Sync + 'static,
    {
        let table = Config::builder()
            .add_source(file)
            .build()
            .and_then(Config::try_deserialize::<BTreeMap<String, Value>>);
        match table {
            Ok(table) => table.into_iter().for_each(|(key, value)| self.add(key, value)),
            // The library quotes the offending line, which may hold a secret: say only where.
            Err(_) => self.faults.push(ConfigFault::new(
                name,
                "is not valid TOML; check it with a TOML linter",
            )),
        }
    }

    fn add(&mut self, path: String, value: Value) {
        match value.kind {
            ValueKind::Table(table) => {
                table
                    .into_iter()
                    .for_each(|(key, value)| self.add(format!("{path}.{key}"), value));
            }
            ValueKind::Array(items) => {
                let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
                self.values.insert(path, items.join(","));
            }
            kind => {
                self.values.insert(path, kind.to_string());
            }
        }
    }

    pub(super) fn setting<T: Setting>(&mut self, section: &str, key: &str, default: &str) -> T {
        let path = format!("{section}.{key}");
        let text = self.values.get(&path).map_or(default, String::as_str);
        T::parse(text).unwrap_or_else(|expected| {
            let message = if T::SECRET {
                expected
            } else {
                format!("`{text}` is wrong: {expected}")
            };
            self.faults.push(ConfigFault::new(path, message));
            T::parse(default).expect("a default parses; a test reads them all")
        })
    }

    pub(super) fn refuse_unknown_keys(&mut self, known: Vec<KeyDoc>) {
        let known: Vec<String> = known.iter().map(KeyDoc::path).collect();
        for path in self.values.keys().filter(|path| !known.contains(path)) {
            let section = path.split('.').next().unwrap_or_default();
            let siblings: Vec<&str> = known
                .iter()
                .filter_map(|key| key.strip_prefix(section)?.strip_prefix('.'))
                .collect();
            let hint = if siblings.is_empty() {
                "there is no such section".to_owned()
            } else {
                format!("`{section}` has: {}", siblings.join(", "))
            };
            self.faults
                .push(ConfigFault::new(path.clone(), format!("unknown key; {hint}")));
        }
    }
}

/// `APP__HTTP__PORT` is `http.port`.
fn key_of_variable(name: &str) -> String {
    name.trim_start_matches("APP__").replace("__", ".").to_lowercase()
}
