//! Database errors, classified by SQLSTATE
//! (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).

use std::{error::Error, fmt, sync::Arc};

use macros::Refusal;
use outcome::{Attach, Problem, Refusal as _, common};
use sqlx::postgres::PgDatabaseError;

/// The cause of a database error, in an `Arc` because one load can serve many requests.
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

/// The cause of a write whose outcome is unknown. Attaching it sets `outcome_unknown` in the problem.
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

/// Why a database operation failed.
#[derive(Clone, Debug, Refusal)]
pub enum DatabaseError {
    /// 503: the database cannot be reached, or the connection was lost before anything took effect.
    #[problem(common::DEPENDENCY_UNAVAILABLE, "the database cannot be reached")]
    Unavailable(DatabaseCause),
    /// 503: a prepared statement of the connection no longer fits the schema (0A000) or is unknown to the server (26000,
    /// 42P05), and retries on new connections did not help.
    #[problem(
        common::DEPENDENCY_UNAVAILABLE,
        "a prepared statement of the database connection is out of date"
    )]
    StalePlan(DatabaseCause),
    /// 503: the connection was lost, or the deadline passed, after COMMIT was sent.
    #[problem(
        common::DEPENDENCY_UNAVAILABLE,
        "the connection to the database was lost during the commit; the change may or may not have been saved"
    )]
    OutcomeUnknown(UnknownOutcome),
    /// 503: the database accepts no writes (25006).
    #[problem(common::DATABASE_READ_ONLY, "the database is read-only")]
    ReadOnly(DatabaseCause),
    /// 503: the disk of the database is full (53100).
    #[problem(common::STORAGE_EXHAUSTED, "the database has no free disk space")]
    StorageExhausted(DatabaseCause),
    /// 503: a serialization failure (40001) that persisted through all retries.
    #[problem(common::CONTENTION, "too many concurrent changes to the same rows")]
    SerializationFailure(DatabaseCause),
    /// 503: a deadlock (40P01) that persisted through all retries.
    #[problem(common::CONTENTION, "too many concurrent changes to the same rows")]
    Deadlock(DatabaseCause),
    /// 503: a lock was not acquired within `lock_timeout` (55P03).
    #[problem(common::CONTENTION, "a conflicting lock was held for too long")]
    LockTimeout(DatabaseCause),
    /// 503: no connection became free within `database.acquire_timeout`.
    #[problem(common::OVERLOADED, "all database connections are in use")]
    PoolExhausted,
    /// 503: the server itself is out of memory or connections (53200, 53300, 53400).
    #[problem(common::OVERLOADED, "the database is overloaded")]
    ServerOverloaded(DatabaseCause),
    /// 504: the request's deadline passed.
    #[problem(common::DEADLINE_EXCEEDED, "the database did not respond in time")]
    DeadlineExceeded,
    /// 504: a statement took longer than `statement_timeout` (57014).
    #[problem(common::DEADLINE_EXCEEDED, "the database did not respond in time")]
    StatementTimeout(DatabaseCause),
    /// 500: a bug in a statement, its types or the schema.
    #[problem(
        common::INTERNAL,
        "an unexpected error; it has been logged with this trace id"
    )]
    Bug(DatabaseCause),
}

/// Formats the problem's code, detail and causes for logs and operators. Leaves out Postgres's `DETAIL`, which can
/// contain values.
impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.clone().into_problem().fmt(f)
    }
}

impl DatabaseError {
    /// The [`sqlstate`] of the underlying sqlx error; `None` without such an error.
    pub(super) fn sqlstate(&self) -> Option<String> {
        let cause = match self {
            Self::Unavailable(cause)
            | Self::StalePlan(cause)
            | Self::ReadOnly(cause)
            | Self::StorageExhausted(cause)
            | Self::SerializationFailure(cause)
            | Self::Deadlock(cause)
            | Self::LockTimeout(cause)
            | Self::ServerOverloaded(cause)
            | Self::StatementTimeout(cause)
            | Self::Bug(cause)
            | Self::OutcomeUnknown(UnknownOutcome(cause)) => cause,
            Self::PoolExhausted | Self::DeadlineExceeded => return None,
        };
        cause.0.downcast_ref().map(sqlstate)
    }

    /// The reason to retry, as a metric label; `None` if the error is not transient. Timeouts of the pool, a lock or a
    /// statement do not qualify: a retry would only wait again.
    pub fn transient(&self) -> Option<&'static str> {
        match self {
            Self::Unavailable(_) => Some("connection"),
            Self::StalePlan(_) => Some("stale_plan"),
            Self::SerializationFailure(_) => Some("serialization"),
            Self::Deadlock(_) => Some("deadlock"),
            _ => None,
        }
    }
}

/// The label in place of a SQLSTATE if the connection failed.
pub(super) const CONNECTION: &str = "connection";
/// The label in place of a SQLSTATE if this process could not encode a parameter or decode a row.
const CLIENT: &str = "client";

/// The SQLSTATE of a sqlx error, [`CONNECTION`], or [`CLIENT`].
pub(super) fn sqlstate(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.code().unwrap_or_default().into_owned(),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::PoolClosed => CONNECTION.to_owned(),
        _ => CLIENT.to_owned(),
    }
}

/// Whether the server refuses a statement that an earlier one prepared on this connection: a migration has changed the
/// type of its result, or the server does not know it, which happens behind a pooler.
fn is_stale_plan(error: &sqlx::Error, state: &str) -> bool {
    let routine = error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
        .and_then(PgDatabaseError::routine);
    match state {
        // "cached plan must not change result type"; other features that are not supported have the same SQLSTATE.
        "0A000" => routine == Some("RevalidateCachedQuery"),
        "26000" | "42P05" => true,
        _ => false,
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        let state = sqlstate(&error);
        let is_stale_plan = is_stale_plan(&error, &state);
        let cause: DatabaseCause = Arc::new(error).into();
        match state.as_str() {
            CONNECTION => Self::Unavailable(cause),
            _ if is_stale_plan => Self::StalePlan(cause),
            "40001" => Self::SerializationFailure(cause),
            "40P01" => Self::Deadlock(cause),
            "55P03" => Self::LockTimeout(cause),
            "25006" => Self::ReadOnly(cause),
            "53100" => Self::StorageExhausted(cause),
            "53200" | "53300" | "53400" => Self::ServerOverloaded(cause),
            "57014" => Self::StatementTimeout(cause),
            // Connection exceptions, operator intervention, system errors, invalid credentials,
            // an unknown database, a session terminated for idling in a transaction.
            state
                if ["08", "57", "58", "28", "3D"]
                    .iter()
                    .any(|class| state.starts_with(class))
                    || state == "25P03" =>
            {
                Self::Unavailable(cause)
            }
            _ => Self::Bug(cause),
        }
    }
}
