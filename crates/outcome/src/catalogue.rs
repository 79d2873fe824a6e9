//! The catalogue of a service's problem types.

use crate::ProblemType;

/// All problem types of a service: the common ones and those that the service declares.
#[derive(Clone, Copy, Debug)]
pub struct Catalogue(&'static [&'static [&'static ProblemType]]);

impl Catalogue {
    /// Concatenates tables of rows. Codes must be unique; a test checks it.
    pub const fn new(tables: &'static [&'static [&'static ProblemType]]) -> Self {
        Self(tables)
    }

    /// All rows, in order of declaration.
    pub fn iter(&self) -> impl Iterator<Item = &'static ProblemType> + use<> {
        self.0.iter().flat_map(|table| table.iter().copied())
    }

    /// The row with this code.
    pub fn find(&self, code: &str) -> Option<&'static ProblemType> {
        self.iter().find(|row| row.code == code)
    }
}
