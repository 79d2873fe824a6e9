//! A connection that goes back to the pool only when it is known to be clean.

use std::time::Duration;

use deadpool::managed::Object;
use resilience::{Deadline, DeadlineExceeded};
use sqlx::{AssertSqlSafe, Executor, PgConnection, SqlSafeStr};

use super::{
    Fault, TransactionError,
    pool::{ConnectionPool, Connections},
};

/// What is left for the answer when the server gives a commit up.
const FOR_THE_ANSWER: Duration = Duration::from_millis(50);

/// A checked-out connection. Dropped while a statement runs or a transaction is open, it is closed:
/// the next user must not meet our leftovers (see transact-rs/sqlx#4393).
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

    /// The connection, unclean until [`settle`](Self::settle) sees the result.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        self.clean = false;
        self.connection.as_mut().expect("taken only on drop")
    }

    /// Judges a result: the connection is clean when the server answered, even with an error, if it is of use to the next.
    pub(super) fn settle<T, R>(
        &mut self,
        result: Result<Result<T, TransactionError<R>>, DeadlineExceeded>,
    ) -> Result<T, TransactionError<R>> {
        match result {
            Ok(Ok(output)) => {
                self.clean = true;
                Ok(output)
            }
            Ok(Err(TransactionError::Refused(refusal))) => {
                self.clean = true;
                Err(TransactionError::Refused(refusal))
            }
            Ok(Err(TransactionError::Failed(fault))) => {
                self.pool.failed(&fault);
                // One that was opened read-only stays so, whatever becomes of the server.
                self.clean = !matches!(fault, Fault::Unavailable(_) | Fault::ReadOnly(_));
                Err(TransactionError::Failed(fault))
            }
            Err(DeadlineExceeded) => Err(TransactionError::Failed(Fault::DeadlineExceeded)),
        }
    }

    /// Begins a transaction.
    pub(super) async fn begin(&mut self, deadline: Deadline) -> Result<(), Fault> {
        self.command("BEGIN", deadline).await?;
        self.in_transaction = true;
        Ok(())
    }

    async fn command(&mut self, command: impl SqlSafeStr, deadline: Deadline) -> Result<(), Fault> {
        let executed = deadline
            .bound(self.connection().execute(sqlx::raw_sql(command)))
            .await;
        let result = executed.map(|result| result.map(drop).map_err(TransactionError::<Fault>::from));
        self.settle(result).map_err(TransactionError::into_refusal)
    }

    /// Ends the transaction with its effect. Only an error of the server itself proves that there is none.
    ///
    /// A commit that notifies (every job that is enqueued does) stands in line behind the flushes of others, and that
    /// is waiting for a lock. It may wait as long as the request may; then the server gives it up, not we, so that the
    /// outcome is known. `statement_timeout` does not count while a transaction commits.
    pub(super) async fn commit(&mut self, deadline: Deadline) -> Result<(), Fault> {
        let wait = deadline
            .remaining()
            .saturating_sub(FOR_THE_ANSWER)
            .as_millis()
            .max(1);
        let commit = format!("SET LOCAL lock_timeout = {wait}; COMMIT");
        self.command(AssertSqlSafe(commit), deadline)
            .await
            .map_err(|fault| match fault {
                Fault::Unavailable(cause) => Fault::OutcomeUnknown(cause.into()),
                Fault::DeadlineExceeded => {
                    Fault::OutcomeUnknown(std::sync::Arc::new(DeadlineExceeded).into())
                }
                fault => fault,
            })?;
        self.in_transaction = false;
        Ok(())
    }

    /// Ends the transaction without effect; where that fails, closing the connection does it.
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
