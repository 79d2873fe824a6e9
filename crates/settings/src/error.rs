//! Errors in a configuration.

use std::{fmt, time::Duration};

use crate::{Setting, load::ensure_none};

/// One error in a configuration, with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The key, such as `http.port`, or the name of a file.
    pub key: String,
    /// The error and what to do about it. Never contains the value of a secret.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// Collects errors. Inside a section, keys are named without the name of the section.
#[derive(Debug, Default)]
pub struct Errors {
    prefix: String,
    found: Vec<ConfigError>,
}

impl Errors {
    /// Adds an error for `key`.
    pub fn add(&mut self, key: &str, message: impl Into<String>) {
        self.found.push(ConfigError {
            key: self.prefixed(key),
            message: message.into(),
        });
    }

    /// Runs `check` inside the section `name`.
    pub fn section(&mut self, name: &str, check: impl FnOnce(&mut Self)) {
        let parent = self.enter(name);
        check(self);
        self.leave(parent);
    }

    /// Adds an error for `key` unless its duration is `long_enough` to contain the duration `inner`.
    pub fn outlasts(
        &mut self,
        key: &str,
        (outer, long_enough): (Duration, bool),
        (what, inner): (&str, Duration),
    ) {
        if !long_enough {
            let (outer, inner) = (outer.text(), inner.text());
            self.add(
                key,
                format!("is {outer}, too short for {what}, which takes {inner}"),
            );
        }
    }

    pub(crate) fn enter(&mut self, section: &str) -> usize {
        let parent = self.prefix.len();
        self.prefix.push_str(section);
        self.prefix.push('.');
        parent
    }

    pub(crate) fn leave(&mut self, parent: usize) {
        self.prefix.truncate(parent);
    }

    pub(crate) fn prefixed(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    pub(crate) fn extend(&mut self, others: Vec<ConfigError>) {
        self.found.extend(others);
    }

    /// Fails if there are errors.
    ///
    /// # Errors
    /// All errors, one per line.
    pub fn ensure_none(&self) -> anyhow::Result<()> {
        ensure_none(&self.found)
    }

    /// The errors found so far.
    pub fn into_found(self) -> Vec<ConfigError> {
        self.found
    }
}
