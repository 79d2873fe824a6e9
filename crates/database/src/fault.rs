//! Every way the database can fail, by SQLSTATE
//! (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).

use std::{error::Error, sync::Arc};

use macros::Refusal;
use outcome::{Attach, Problem, common};

/// The error behind a fault. Shared, since one load can serve many requests.
#[derive(Clone, Debug)]
pub struct DatabaseCause(Arc<dyn Error + Send + Sync>);

impl<E: Error + Send + Sync + 'static> From<Arc<E>> for DatabaseCause {
    fn from(error: Arc<E>) -> Self {
        Self(error)
    }
}

impl Attach for DatabaseCause {
    fn attach(self, problem: Problem) -> Problem {
        problem.caused_by(self.0)
    }
}

/// The cause of a write whose result is unknown; the answer says so.
#[derive(Clone, Debug)]
pub struct UnknownOutcome(DatabaseCause);

impl From<DatabaseCause> for UnknownOutcome {
    fn from(cause: DatabaseCause) -> Self {
        Self(cause)
    }
}

impl<E: Error + Send + Sync + 'static> From<Arc<E>> for UnknownOutcome {
    fn from(error: Arc<E>) -> Self {
        Self(error.into())
    }
}

impl Attach for UnknownOutcome {
    fn attach(self, problem: Problem) -> Problem {
        let mut problem = self.0.attach(problem);
        problem.outcome_unknown = true;
        problem
    }
}

/// Why the database gave no result.
#[derive(Clone, Debug, Refusal)]
pub enum Fault {
    /// 503: it cannot be reached, or the connection was lost before anything took effect.
    #[problem(common::DEPENDENCY_UNAVAILABLE, "the database cannot be reached")]
    Unavailable(DatabaseCause),
    /// 503: the connection was lost, or time ran out, after COMMIT was sent.
    #[problem(
        common::DEPENDENCY_UNAVAILABLE,
        "the database was lost while saving; the change may or may not have happened"
    )]
    OutcomeUnknown(UnknownOutcome),
    /// 503: it accepts no writes (25006).
    #[problem(common::DATABASE_READ_ONLY, "the database accepts no changes")]
    ReadOnly(DatabaseCause),
    /// 503: its disk is full (53100).
    #[problem(common::STORAGE_EXHAUSTED, "the database has no space left")]
    StorageExhausted(DatabaseCause),
    /// 503: 40001, still there after the retries.
    #[problem(common::CONTENTION, "too many changes to the same thing at once")]
    SerializationFailure(DatabaseCause),
    /// 503: 40P01, still there after the retries.
    #[problem(common::CONTENTION, "too many changes to the same thing at once")]
    Deadlock(DatabaseCause),
    /// 503: a lock was not to be had within `lock_timeout` (55P03).
    #[problem(common::CONTENTION, "something else holds what this needs")]
    LockTimeout(DatabaseCause),
    /// 503: no connection became free within `database.acquire_timeout`.
    #[problem(common::OVERLOADED, "all database connections are in use")]
    NoConnectionFree,
    /// 503: the server itself has no connection or memory left (53200, 53300).
    #[problem(common::OVERLOADED, "the database is overloaded")]
    ServerOverloaded(DatabaseCause),
    /// 504: the request's deadline passed.
    #[problem(common::DEADLINE_EXCEEDED, "the database did not answer in time")]
    DeadlineExceeded,
    /// 504: a statement took longer than `statement_timeout` (57014).
    #[problem(common::DEADLINE_EXCEEDED, "the database did not answer in time")]
    StatementTimeout(DatabaseCause),
    /// 500: a bug in a statement, its types or the schema.
    #[problem(
        common::INTERNAL,
        "an unexpected error; it has been logged with this trace id"
    )]
    Bug(DatabaseCause),
}

impl Fault {
    /// The SQLSTATE of the error behind it, or [`CONNECTION`]; none where there is no error.
    pub(super) fn sqlstate(&self) -> Option<String> {
        let cause = match self {
            Self::Unavailable(cause)
            | Self::ReadOnly(cause)
            | Self::StorageExhausted(cause)
            | Self::SerializationFailure(cause)
            | Self::Deadlock(cause)
            | Self::LockTimeout(cause)
            | Self::ServerOverloaded(cause)
            | Self::StatementTimeout(cause)
            | Self::Bug(cause)
            | Self::OutcomeUnknown(UnknownOutcome(cause)) => cause,
            Self::NoConnectionFree | Self::DeadlineExceeded => return None,
        };
        cause.0.downcast_ref().map(sqlstate)
    }

    /// Why trying again may help, if it may. Not when waiting was the problem: a pool timeout,
    /// a lock timeout or a statement timeout would only wait again.
    pub fn transient(&self) -> Option<&'static str> {
        match self {
            Self::Unavailable(_) => Some("connection"),
            Self::SerializationFailure(_) => Some("serialization"),
            Self::Deadlock(_) => Some("deadlock"),
            _ => None,
        }
    }
}

/// In place of a SQLSTATE, for what happened on the way to the server.
pub(super) const CONNECTION: &str = "connection";

/// The SQLSTATE of a database error, or [`CONNECTION`].
pub(super) fn sqlstate(error: &sqlx::Error) -> String {
    let code = error.as_database_error().and_then(|error| error.code());
    code.map_or_else(|| CONNECTION.to_owned(), std::borrow::Cow::into_owned)
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        let state = match &error {
            sqlx::Error::Database(_) => sqlstate(&error),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::PoolClosed => return Self::Unavailable(Arc::new(error).into()),
            _ => return Self::Bug(Arc::new(error).into()),
        };
        let cause: DatabaseCause = Arc::new(error).into();
        match state.as_str() {
            "40001" => Self::SerializationFailure(cause),
            "40P01" => Self::Deadlock(cause),
            "55P03" => Self::LockTimeout(cause),
            "25006" => Self::ReadOnly(cause),
            "53100" => Self::StorageExhausted(cause),
            "53200" | "53300" | "53400" => Self::ServerOverloaded(cause),
            "57014" => Self::StatementTimeout(cause),
            // Connection exceptions, operator intervention, system errors, wrong credentials,
            // a database that is not there, a session ended for idling.
            state if ["08", "57", "58", "28", "3D"].contains(&&state[..2]) || state == "25P03" => {
                Self::Unavailable(cause)
            }
            _ => Self::Bug(cause),
        }
    }
}
