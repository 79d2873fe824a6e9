//! A connection that returns to the pool only if it is known to be clean.

use std::time::Duration;

use deadpool::managed::Object;
use resilience::{Deadline, DeadlineExceeded};
use sqlx::{AssertSqlSafe, Executor, PgConnection, SqlSafeStr};

use super::{
    DatabaseError, TransactionError,
    pool::{ConnectionPool, Connections},
};

/// The time reserved for the response when the server cancels a commit.
const RESPONSE_MARGIN: Duration = Duration::from_millis(50);

/// A checked-out connection. It is closed if it is dropped while a statement runs or a transaction is open: a later
/// caller must never see a half-finished protocol exchange (see transact-rs/sqlx#4393).
pub(super) struct Session {
    connection: Option<Object<Connections>>,
    pool: ConnectionPool,
    clean: bool,
    in_transaction: bool,
}

impl Session {
    pub(super) fn new(connection: Object<Connections>, pool: ConnectionPool) -> Self {
        Self {
            connection: Some(connection),
            pool,
            clean: true,
            in_transaction: false,
        }
    }

    /// The connection, considered unclean until [`finish`](Self::finish) sees the result.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        self.clean = false;
        &mut self.connection.as_mut().expect("taken only on drop").connection
    }

    /// Passes a result on and decides whether the connection is clean: it is if the server responded, even with an
    /// error, unless the error makes the connection useless to the next caller.
    pub(super) fn finish<T, R>(
        &mut self,
        result: Result<Result<T, TransactionError<R>>, DeadlineExceeded>,
    ) -> Result<T, TransactionError<R>> {
        match result {
            Ok(Ok(output)) => {
                self.clean = true;
                Ok(output)
            }
            Ok(Err(refused @ (TransactionError::Refused(_) | TransactionError::RefusedAndRecorded(_)))) => {
                self.clean = true;
                Err(refused)
            }
            Ok(Err(TransactionError::Failed(error))) => {
                self.pool.failed(&error);
                // A connection that was opened read-only stays read-only when the server accepts writes again.
                self.clean = !matches!(
                    error,
                    DatabaseError::Unavailable(_) | DatabaseError::ReadOnly(_) | DatabaseError::StalePlan(_)
                );
                Err(TransactionError::Failed(error))
            }
            Err(DeadlineExceeded) => Err(TransactionError::Failed(DatabaseError::DeadlineExceeded)),
        }
    }

    /// Begins a transaction, with a statement timeout of its own if there is one.
    pub(super) async fn begin(
        &mut self,
        deadline: Deadline,
        statement_timeout: Option<Duration>,
    ) -> Result<(), DatabaseError> {
        match statement_timeout {
            None => self.command("BEGIN", deadline).await?,
            Some(timeout) => {
                let begin = format!("BEGIN; SET LOCAL statement_timeout = {}", timeout.as_millis());
                self.command(AssertSqlSafe(begin), deadline).await?;
            }
        }
        self.in_transaction = true;
        Ok(())
    }

    async fn command(&mut self, command: impl SqlSafeStr, deadline: Deadline) -> Result<(), DatabaseError> {
        let executed = deadline
            .timeout(self.connection().execute(sqlx::raw_sql(command)))
            .await;
        let result = executed.map(|result| result.map(drop).map_err(TransactionError::<DatabaseError>::from));
        self.finish(result).map_err(TransactionError::into_refusal)
    }

    /// Commits the transaction. Only an error from the server itself proves that nothing was committed.
    ///
    /// A commit can wait for a lock: for that of a deferred constraint, or, if the transaction itself sends a `NOTIFY`,
    /// until the notifying commits before it are flushed. It may wait until the request's deadline; then the server
    /// cancels it rather than this process, so that the outcome is known. `statement_timeout` does not apply to a commit.
    pub(super) async fn commit(&mut self, deadline: Deadline) -> Result<(), DatabaseError> {
        let wait = deadline
            .remaining()
            .saturating_sub(RESPONSE_MARGIN)
            .as_millis()
            .max(1);
        let commit = format!("SET LOCAL lock_timeout = {wait}; COMMIT");
        self.command(AssertSqlSafe(commit), deadline)
            .await
            .map_err(|error| match error {
                DatabaseError::Unavailable(cause) => DatabaseError::OutcomeUnknown(cause.into()),
                DatabaseError::DeadlineExceeded => {
                    DatabaseError::OutcomeUnknown(std::sync::Arc::new(DeadlineExceeded).into())
                }
                error => error,
            })?;
        self.in_transaction = false;
        Ok(())
    }

    /// Rolls the transaction back. If that fails, the connection is closed, which has the same effect.
    pub(super) async fn roll_back(&mut self, deadline: Deadline) {
        if self.clean && self.command("ROLLBACK", deadline).await.is_ok() {
            self.in_transaction = false;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && (!self.clean || self.in_transaction)
        {
            drop(Object::take(connection));
        }
    }
}
