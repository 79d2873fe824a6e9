//! Unique violations as refusals.

use crate::TransactionError;

/// Turns the violation of a unique constraint into a refusal.
pub trait UniqueViolation<T> {
    /// The result of a statement, with the violation of `constraint` as `refusal`. Any other error stays what it is.
    ///
    /// The server has aborted the transaction by then: it is rolled back with the refusal. A deferred constraint is checked
    /// at COMMIT, and stays a bug.
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
