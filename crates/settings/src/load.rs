//! Loads the configuration: layers, keys, rules.

use std::{ffi::OsString, path::Path};

use crate::{ConfigError, Errors, KeyDoc, Keys, Reader, Settings, layers::merged};

/// The configuration as read, and all errors in it.
#[derive(Debug)]
pub struct Loaded<S> {
    /// The settings; a key with an invalid value has its default.
    pub settings: S,
    /// All errors: first of files, then of keys in order of declaration, of unknown keys, and of rules between keys.
    pub errors: Vec<ConfigError>,
}

/// Fails if there are errors.
///
/// # Errors
/// All errors, one per line.
pub(crate) fn ensure_none(errors: &[ConfigError]) -> anyhow::Result<()> {
    let lines: Vec<String> = errors.iter().map(|error| format!("  {error}")).collect();
    anyhow::ensure!(
        lines.is_empty(),
        "the configuration has {} error(s):\n{}",
        lines.len(),
        lines.join("\n")
    );
    Ok(())
}

impl<S> Loaded<S> {
    /// Adds the errors of rules, except for keys that already have an error: the rule only saw their default.
    pub fn add(&mut self, rules: Errors) {
        let invalid: Vec<String> = self.errors.iter().map(|error| error.key.clone()).collect();
        let broken = rules.into_found().into_iter();
        self.errors
            .extend(broken.filter(|rule| !invalid.contains(&rule.key)));
    }

    /// The settings, if they have no errors.
    ///
    /// # Errors
    /// All errors, one per line.
    pub fn valid(self) -> anyhow::Result<S> {
        ensure_none(&self.errors)?;
        Ok(self.settings)
    }
}

impl<S: Settings> Loaded<S> {
    /// Without the errors of the other sections, for a command that uses only these. Errors of files and of sections that
    /// do not exist remain.
    pub fn only(mut self, sections: &[&str]) -> Self {
        let known = Keys::of::<S>();
        let is_other = |key: &str| {
            let section = key.split('.').next().unwrap_or_default();
            let exists = |known: &KeyDoc| known.path.split('.').next() == Some(section);
            !sections.contains(&section) && known.iter().any(exists)
        };
        self.errors.retain(|error| !is_other(&error.key));
        self
    }
}

/// Reads the configuration. `built_in` is the content of the service's `default.toml`; `folder` holds
/// `{environment}.toml`, which may be missing.
pub fn load<S: Settings>(built_in: &str, folder: &Path) -> Loaded<S> {
    // Variables of other programs need not be UTF-8.
    let text = |raw: OsString| raw.to_string_lossy().into_owned();
    let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    load_from(built_in, folder, variables)
}

/// Like [`load`], with the given environment variables.
pub fn load_from<S: Settings>(
    built_in: &str,
    folder: &Path,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Loaded<S> {
    let merged = merged(built_in, folder, variables);
    let mut reader = Reader::new(merged.values, merged.in_files);
    reader.errors.extend(merged.errors);
    let settings = S::read(&mut reader);
    reader.reject_unknown_keys(&Keys::of::<S>());
    let mut rules = Errors::default();
    settings.check(&mut rules);
    let mut loaded = Loaded {
        settings,
        errors: reader.errors.into_found(),
    };
    loaded.add(rules);
    loaded
}
