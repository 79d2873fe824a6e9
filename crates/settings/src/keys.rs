//! The list of all keys, for the documentation and for finding unknown keys.

use crate::{Key, Schema, Setting, Settings};

/// The documentation of one key.
#[derive(Clone, Debug)]
pub struct KeyDoc {
    /// The full name, `section.key`.
    pub path: String,
    /// The default, as written in an environment variable; empty if there is none.
    pub default: String,
    /// The default in the environment `development`, if it is another.
    pub in_development: Option<String>,
    /// The meaning of the key.
    pub doc: &'static str,
    /// Whether the value is a secret.
    pub secret: bool,
    pub(crate) schema: Schema,
}

/// Collects keys.
#[derive(Debug, Default)]
pub struct Keys {
    prefix: String,
    found: Vec<KeyDoc>,
}

impl Keys {
    /// Every key of these settings, in order of declaration.
    pub fn of<S: Settings>() -> Vec<KeyDoc> {
        let mut keys = Self::default();
        S::document(&mut keys);
        keys.found
    }

    /// Adds a key.
    pub fn key<T: Setting>(&mut self, key: &Key<T>) {
        self.found.push(KeyDoc {
            path: format!("{}{}", self.prefix, key.name),
            default: key.default.text(),
            in_development: key.in_development.as_ref().map(T::text),
            doc: key.doc,
            secret: T::SECRET,
            schema: key.schema(),
        });
    }

    /// Adds the keys of a section.
    pub fn section(&mut self, name: &str, document: impl FnOnce(&mut Self)) {
        let parent = self.prefix.len();
        self.prefix.push_str(name);
        self.prefix.push('.');
        document(self);
        self.prefix.truncate(parent);
    }
}
