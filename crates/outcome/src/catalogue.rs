//! All problem types of a service.

use crate::ProblemType;

/// All problem types of a service: the common rows and its own.
#[derive(Clone, Copy, Debug)]
pub struct Catalogue(&'static [&'static [&'static ProblemType]]);

impl Catalogue {
    /// Joins tables of rows. Two rows with one code are a programming error that a test finds.
    pub const fn new(tables: &'static [&'static [&'static ProblemType]]) -> Self {
        Self(tables)
    }

    /// Every row, in the order of declaration.
    pub fn iter(&self) -> impl Iterator<Item = &'static ProblemType> + use<> {
        self.0.iter().flat_map(|table| table.iter().copied())
    }

    /// The row with this code.
    pub fn find(&self, code: &str) -> Option<&'static ProblemType> {
        self.iter().find(|row| row.code == code)
    }
}
