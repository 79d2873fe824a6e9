//! One key: its name, documentation, default and range.

use crate::{Schema, Setting};

/// A bound on values: its keyword in a JSON schema, its wording in messages, and its check.
struct Bound<T> {
    keyword: &'static str,
    wording: &'static str,
    value: T,
    holds: fn(&T, &T) -> bool,
}

/// A key of a section. The derive of [`Settings`](crate::Settings) makes one from a field.
pub struct Key<T> {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) default: T,
    pub(crate) in_development: Option<T>,
    bounds: Vec<Bound<T>>,
}

impl<T: Setting> Key<T> {
    /// A key with this default.
    pub fn new(name: &'static str, doc: &'static str, default: T) -> Self {
        Self {
            name,
            doc,
            default,
            in_development: None,
            bounds: Vec::new(),
        }
    }

    /// Sets another default for the environment `development`.
    pub fn in_development(mut self, default: T) -> Self {
        self.in_development = Some(default);
        self
    }

    /// Reads and checks a value; the error says what is expected.
    pub(crate) fn parse(&self, text: &str) -> Result<T, String> {
        let value = T::parse(text)?;
        match self
            .bounds
            .iter()
            .find(|bound| !(bound.holds)(&value, &bound.value))
        {
            Some(bound) => Err(format!("must be {} {}", bound.wording, bound.value.text())),
            None => Ok(value),
        }
    }

    pub(crate) fn schema(&self) -> Schema {
        let mut schema = T::schema();
        for bound in &self.bounds {
            schema = schema.bounded(bound.keyword, &bound.value.text());
        }
        schema
    }
}

impl<T: Setting + PartialOrd> Key<T> {
    /// Requires a value of at least `value`.
    pub fn min(self, value: T) -> Self {
        self.bound("minimum", "at least", value, |value, bound| value >= bound)
    }

    /// Requires a value above `value`.
    pub fn above(self, value: T) -> Self {
        self.bound("exclusiveMinimum", "above", value, |value, bound| value > bound)
    }

    /// Requires a value of at most `value`.
    pub fn max(self, value: T) -> Self {
        self.bound("maximum", "at most", value, |value, bound| value <= bound)
    }

    fn bound(
        mut self,
        keyword: &'static str,
        wording: &'static str,
        value: T,
        holds: fn(&T, &T) -> bool,
    ) -> Self {
        self.bounds.push(Bound {
            keyword,
            wording,
            value,
            holds,
        });
        self
    }
}
