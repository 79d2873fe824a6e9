//! What an operation does in the database.

use std::future::Future;

use super::{Fault, Transaction};

/// One read, or the body of one transaction, with the data it needs. It may run several times, so it takes `&self` and
/// leaves nothing behind but its effect in the database and what it gave to [`Transaction::after_commit`].
pub trait UnitOfWork: Send + Sync {
    /// Names it in traces and, as a comment, in its SQL.
    const NAME: &'static str;
    /// What it yields.
    type Output: Send + 'static;
    /// How it can be refused; a database's [`Fault`] is one way.
    type Refusal: From<Fault> + Send + 'static;

    /// Does the work. Errors of statements go up with `?`; a refusal is `Err(TransactionError::Refused(_))` and rolls the
    /// transaction back.
    fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> impl Future<Output = Result<Self::Output, TransactionError<Self::Refusal>>> + Send;
}

/// Why a unit of work ended without a result.
#[derive(Debug)]
pub enum TransactionError<R> {
    /// A rule of the operation says no. Final.
    Refused(R),
    /// A statement or the connection failed, or the deadline passed; it may be transient. Only an error of sqlx becomes one:
    /// work that runs other work and returns its fault would be repeated by both.
    #[non_exhaustive]
    Failed(Fault),
}

impl<R> From<sqlx::Error> for TransactionError<R> {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl<R: From<Fault>> TransactionError<R> {
    pub(super) fn into_refusal(self) -> R {
        match self {
            Self::Refused(refusal) => refusal,
            Self::Failed(fault) => fault.into(),
        }
    }
}

impl<R> TransactionError<R> {
    pub(super) fn transient(&self) -> Option<&'static str> {
        match self {
            Self::Refused(_) => None,
            Self::Failed(fault) => fault.transient(),
        }
    }
}
