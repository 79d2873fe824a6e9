//! Reads keys from the merged layers and collects errors.

use std::collections::{BTreeMap, BTreeSet};

use crate::{DEVELOPMENT, ENVIRONMENT, Errors, Key, KeyDoc, Setting};

/// The values of the merged layers as text, and the errors found in them.
#[derive(Debug)]
pub struct Reader {
    values: BTreeMap<String, String>,
    in_files: BTreeSet<String>,
    pub(crate) errors: Errors,
}

impl Reader {
    pub(crate) fn new(values: BTreeMap<String, String>, in_files: BTreeSet<String>) -> Self {
        Self {
            values,
            in_files,
            errors: Errors::default(),
        }
    }

    /// The value of a key, or its default. For an invalid value, adds an error and returns the default.
    pub fn key<T: Setting>(&mut self, key: &Key<T>) -> T {
        let path = self.errors.prefixed(key.name);
        let of_development = key.in_development.as_ref().filter(|_| self.is_development());
        let default = of_development.unwrap_or(&key.default).text();
        let Some(text) = self.values.get(&path) else {
            return default_of(key, &default);
        };
        key.parse(text).unwrap_or_else(|expected| {
            let message = if T::SECRET || self.in_files.contains(&path) {
                expected
            } else {
                format!("`{text}` is invalid: {expected}")
            };
            self.errors.add(key.name, message);
            default_of(key, &default)
        })
    }

    fn is_development(&self) -> bool {
        self.values
            .get(ENVIRONMENT)
            .is_none_or(|environment| environment == DEVELOPMENT)
    }

    /// Reads the keys of a section.
    pub fn section<S>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> S) -> S {
        let parent = self.errors.enter(name);
        let section = read(self);
        self.errors.leave(parent);
        section
    }

    pub(crate) fn reject_unknown_keys(&mut self, known: &[KeyDoc]) {
        let known: Vec<&str> = known.iter().map(|key| key.path.as_str()).collect();
        for path in self.values.keys().filter(|path| !known.contains(&path.as_str())) {
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
            self.errors.add(path, format!("unknown key; {hint}"));
        }
    }
}

/// A default, parsed from its text, so that the documented default is the one in use.
fn default_of<T: Setting>(key: &Key<T>, text: &str) -> T {
    key.parse(text)
        .expect("a default is within its own range: tests load the settings without any values")
}
