//! The order in which kinds of jobs are claimed.

/// The priority of a kind of job. A worker with free capacity claims due runs of a higher priority first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Before all others: short work that a person waits for, and maintenance.
    High,
    /// The default.
    Normal,
    /// After all others: long work that can wait.
    Low,
}

impl Priority {
    /// The rank of the priority in a claim; the lowest is claimed first.
    pub(crate) fn rank(self) -> i16 {
        self as i16
    }
}
