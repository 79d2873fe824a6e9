//! What an operation does in the database.

use std::future::Future;

use sqlx::PgConnection;

use super::Fault;

/// One read, or the body of one transaction, with the data it needs. It may run several times, so it
/// takes `&self` and leaves nothing behind but its effect in the database.
pub trait UnitOfWork: Send + Sync {
    /// Names it in traces and, as a comment, in its SQL.
    const NAME: &'static str;
    /// What it yields.
    type Output: Send + 'static;
    /// How it can be refused; a database's [`Fault`] is one way.
    type Refusal: From<Fault> + Send + 'static;

    /// Does the work. Errors of statements go up with `?`; a refusal is `Err(Abort::Refused(_))` and
    /// rolls the transaction back.
    fn run(
        &self,
        connection: &mut PgConnection,
    ) -> impl Future<Output = Result<Self::Output, Abort<Self::Refusal>>> + Send;

    /// What follows a committed transaction, also when the caller has hung up by then: a cache to bring
    /// up to date. It must not fail.
    fn committed(&self, _output: &Self::Output) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// What follows a transaction of which nobody knows whether it was committed: what was cached may be out of date.
    fn unknown(&self) {}
}

/// Why a unit of work ended without a result.
#[derive(Debug)]
pub enum Abort<R> {
    /// A rule of the operation says no.
    Refused(R),
    /// A statement failed.
    Failed(sqlx::Error),
}

impl<R> From<sqlx::Error> for Abort<R> {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

/// How one attempt failed: the refusal is final, the fault may be transient.
pub(super) enum Attempt<R> {
    Refused(R),
    Fault(Fault),
}

impl<R> From<Fault> for Attempt<R> {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl<R: From<Fault>> Attempt<R> {
    pub(super) fn into_refusal(self) -> R {
        match self {
            Self::Refused(refusal) => refusal,
            Self::Fault(fault) => fault.into(),
        }
    }
}

impl<R> Attempt<R> {
    pub(super) fn transient(&self) -> Option<&'static str> {
        match self {
            Self::Refused(_) => None,
            Self::Fault(fault) => fault.transient(),
        }
    }
}
