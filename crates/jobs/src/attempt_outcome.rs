//! The outcomes of an attempt.

/// The outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Succeeded,
    /// Failed, and queued for another attempt.
    Retried,
    /// Failed permanently.
    Failed,
    /// Failed, or crashed, for the last time.
    Dead,
    Postponed,
    /// The payload cannot be read by this release.
    Unreadable,
    Cancelled,
    /// Returned to the queue, because the worker is shutting down.
    Released,
    /// The process ended, or has to.
    Crashed,
    /// Another attempt has replaced this one.
    Fenced,
    /// The end could not be recorded.
    Unpersisted,
}

impl Outcome {
    pub(crate) const ALL: [Self; 11] = [
        Self::Succeeded,
        Self::Retried,
        Self::Failed,
        Self::Dead,
        Self::Postponed,
        Self::Unreadable,
        Self::Cancelled,
        Self::Released,
        Self::Crashed,
        Self::Fenced,
        Self::Unpersisted,
    ];

    /// The label in metrics, traces and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Retried => "retried",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Postponed => "postponed",
            Self::Unreadable => "unreadable",
            Self::Cancelled => "cancelled",
            Self::Released => "released",
            Self::Crashed => "crashed",
            Self::Fenced => "fenced",
            Self::Unpersisted => "unpersisted",
        }
    }

    /// Whether the trace of the attempt is that of an error.
    pub(crate) fn is_error(self) -> bool {
        !matches!(
            self,
            Self::Succeeded | Self::Released | Self::Postponed | Self::Cancelled
        )
    }

    /// Whether the attempt has shown that the dependencies of its kind are available.
    pub(crate) fn has_reached_dependencies(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}
