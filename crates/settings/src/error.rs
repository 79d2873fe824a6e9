//! What is wrong with a configuration.

use std::{fmt, time::Duration};

use crate::Setting;

/// One thing that is wrong, with the key and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The key, such as `http.port`, or the name of a file.
    pub key: String,
    /// What is wrong and what to do. Never the value of a secret.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// Collects errors. Inside a section keys are named without it.
#[derive(Debug, Default)]
pub struct Errors {
    prefix: String,
    found: Vec<ConfigError>,
}

impl Errors {
    /// Adds an error of this key.
    pub fn add(&mut self, key: &str, message: impl Into<String>) {
        self.found.push(ConfigError {
            key: self.prefixed(key),
            message: message.into(),
        });
    }

    /// Lets `check` name the keys of a section without its name.
    pub fn section(&mut self, name: &str, check: impl FnOnce(&mut Self)) {
        let outside = self.enter(name);
        check(self);
        self.leave(outside);
    }

    /// Adds an error of `key` unless its time is `long_enough` for what is inside of it.
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
        let outside = self.prefix.len();
        self.prefix.push_str(section);
        self.prefix.push('.');
        outside
    }

    pub(crate) fn leave(&mut self, outside: usize) {
        self.prefix.truncate(outside);
    }

    pub(crate) fn prefixed(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    pub(crate) fn extend(&mut self, others: Vec<ConfigError>) {
        self.found.extend(others);
    }

    pub(crate) fn into_found(self) -> Vec<ConfigError> {
        self.found
    }
}
