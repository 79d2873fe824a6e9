//! Unique violations as refusals.

use crate::TransactionError;

/// Turns the violation of a unique constraint into a refusal.
pub trait UniqueViolation<T> {
    /// Maps a violation of `constraint` to `refusal`, and passes any other error on.
    ///
    /// The server has already aborted the transaction, so the refusal rolls it back. A deferred constraint is checked
    /// at COMMIT, where its violation is a bug.
    ///
    /// # Errors
    /// The refusal, or the failed statement.
    fn or_refuse<R>(self, constraint: &str, refusal: R) -> Result<T, TransactionError<R>>;
}

impl<T> UniqueViolation<T> for sqlx::Result<T> {
    fn or_refuse<R>(self, constraint: &str, refusal: R) -> Result<T, TransactionError<R>> {
        self.map_err(|error| {
            let violated = error
                .as_database_error()
                .filter(|error| error.is_unique_violation())
                .and_then(|error| error.constraint());
            if violated == Some(constraint) {
                TransactionError::Refused(refusal)
            } else {
                error.into()
            }
        })
    }
}
