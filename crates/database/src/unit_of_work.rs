//! Units of work: what an operation does in the database.

use std::future::Future;

use super::{DatabaseError, Transaction};

/// One read, or the body of one transaction, with the data it needs. It may run several times, so it takes `&self` and
/// has no effect outside the database except the actions given to [`Transaction::after_commit`].
pub trait UnitOfWork: Send + Sync {
    /// The name of the work in traces and, as a comment, in its SQL.
    const NAME: &'static str;
    /// The result of the work.
    type Output: Send + 'static;
    /// The ways the work can be refused, a [`DatabaseError`] among them.
    type Refusal: From<DatabaseError> + Send + 'static;

    /// Does the work. Errors of statements are propagated with `?`; a refusal is `Err(TransactionError::Refused(_))`
    /// and rolls the transaction back.
    fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> impl Future<Output = Result<Self::Output, TransactionError<Self::Refusal>>> + Send;
}

/// Why a unit of work gave no result.
#[derive(Debug)]
pub enum TransactionError<R> {
    /// The operation refused the request; the transaction is rolled back. Never retried.
    Refused(R),
    /// The operation refused the request, and the transaction, which records the refusal, is committed. Made by
    /// [`IdempotentRequest::refuse`](crate::idempotency::IdempotentRequest::refuse).
    #[non_exhaustive]
    RefusedAndRecorded(R),
    /// A statement or the connection failed, or the deadline passed. Retried if transient. Only `sqlx::Error` converts
    /// into it: work that ran other work and returned its error would be retried by both.
    #[non_exhaustive]
    Failed(DatabaseError),
}

impl<R> From<sqlx::Error> for TransactionError<R> {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl<R: From<DatabaseError>> TransactionError<R> {
    pub(super) fn into_refusal(self) -> R {
        match self {
            Self::Refused(refusal) | Self::RefusedAndRecorded(refusal) => refusal,
            Self::Failed(error) => error.into(),
        }
    }
}

impl<R> TransactionError<R> {
    /// Converts the refusal.
    pub fn map_refusal<S>(self, convert: impl FnOnce(R) -> S) -> TransactionError<S> {
        match self {
            Self::Refused(refusal) => TransactionError::Refused(convert(refusal)),
            Self::RefusedAndRecorded(refusal) => TransactionError::RefusedAndRecorded(convert(refusal)),
            Self::Failed(error) => TransactionError::Failed(error),
        }
    }

    pub(super) fn transient(&self) -> Option<&'static str> {
        match self {
            Self::Refused(_) | Self::RefusedAndRecorded(_) => None,
            Self::Failed(error) => error.transient(),
        }
    }
}
