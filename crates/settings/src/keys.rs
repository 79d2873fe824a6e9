//! The list of all keys, for documents and for finding unknown ones.

use crate::{Key, Schema, Setting, Settings};

/// One key as it is documented.
#[derive(Clone, Debug)]
pub struct KeyDoc {
    /// `section.key`.
    pub path: String,
    /// The default, as it would be written in an environment variable; empty for none.
    pub default: String,
    /// What it means.
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
    /// Every key of these settings, in the order of their declaration.
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
            doc: key.doc,
            secret: T::SECRET,
            schema: key.schema(),
        });
    }

    /// Adds the keys of a section.
    pub fn section(&mut self, name: &str, document: impl FnOnce(&mut Self)) {
        let outside = self.prefix.len();
        self.prefix.push_str(name);
        self.prefix.push('.');
        document(self);
        self.prefix.truncate(outside);
    }
}
