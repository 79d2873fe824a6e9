//! Loading: layers, keys, rules.

use std::{ffi::OsString, path::Path};

use crate::{ConfigError, Errors, Keys, Reader, Settings, layers::merged};

/// What was read, and everything that is wrong with it.
#[derive(Debug)]
pub struct Loaded<S> {
    /// The settings; a key that is wrong has its default.
    pub settings: S,
    /// All errors: first of files, then of keys in the order of their declaration, unknown keys, and rules between keys.
    pub errors: Vec<ConfigError>,
}

impl<S> Loaded<S> {
    /// Adds the errors of rules. A key that could not be read has its default; its own error is enough.
    pub fn add(&mut self, rules: Errors) {
        let wrong: Vec<String> = self.errors.iter().map(|error| error.key.clone()).collect();
        let broken = rules.into_found().into_iter();
        self.errors
            .extend(broken.filter(|rule| !wrong.contains(&rule.key)));
    }

    /// The settings, if nothing is wrong with them.
    ///
    /// # Errors
    /// All errors, one per line.
    pub fn valid(self) -> anyhow::Result<S> {
        if self.errors.is_empty() {
            return Ok(self.settings);
        }
        let lines: Vec<String> = self.errors.iter().map(|error| format!("  {error}")).collect();
        anyhow::bail!(
            "the configuration has {} error(s):\n{}",
            lines.len(),
            lines.join("\n")
        )
    }
}

/// Reads the configuration. `built_in` is the service's own `default.toml`; `folder` holds `{environment}.toml`, which
/// may be missing.
pub fn load<S: Settings>(built_in: &str, folder: &Path) -> Loaded<S> {
    // Variables of other programs may hold anything.
    let text = |word: OsString| word.to_string_lossy().into_owned();
    let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    load_from(built_in, folder, variables)
}

/// As [`load`], with the environment variables given.
pub fn load_from<S: Settings>(
    built_in: &str,
    folder: &Path,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Loaded<S> {
    let merged = merged(built_in, folder, variables);
    let mut reader = Reader::new(merged.values, merged.in_files);
    reader.errors.extend(merged.errors);
    let settings = S::read(&mut reader);
    reader.refuse_unknown_keys(&Keys::of::<S>());
    let mut rules = Errors::default();
    settings.check(&mut rules);
    let mut loaded = Loaded {
        settings,
        errors: reader.errors.into_found(),
    };
    loaded.add(rules);
    loaded
}
