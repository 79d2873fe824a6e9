//! A connection that goes back to the pool only when it is known to be clean.

use deadpool::managed::Object;
use resilience::{Deadline, DeadlineExceeded};
use sqlx::{Executor, PgConnection};

use super::{
    Abort, Fault,
    pool::{ConnectionPool, Connections},
    unit_of_work::Attempt,
};

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

    /// Judges a result: the connection is clean when the server answered, even with an error.
    pub(super) fn settle<T, R>(
        &mut self,
        result: Result<Result<T, Abort<R>>, DeadlineExceeded>,
    ) -> Result<T, Attempt<R>> {
        match result {
            Ok(Ok(output)) => {
                self.clean = true;
                Ok(output)
            }
            Ok(Err(Abort::Refused(refusal))) => {
                self.clean = true;
                Err(Attempt::Refused(refusal))
            }
            Ok(Err(Abort::Failed(error))) => {
                let fault = self.pool.failed(error);
                self.clean = !matches!(fault, Fault::Unavailable(_));
                Err(Attempt::Fault(fault))
            }
            Err(DeadlineExceeded) => Err(Attempt::Fault(Fault::DeadlineExceeded)),
        }
    }

    /// `BEGIN`, `COMMIT` or `ROLLBACK`.
    pub(super) async fn command(&mut self, command: &'static str, deadline: Deadline) -> Result<(), Fault> {
        let executed = deadline
            .bound(self.connection().execute(sqlx::raw_sql(command)))
            .await;
        let result = executed.map(|result| result.map(drop).map_err(Abort::<Fault>::Failed));
        self.settle(result).map_err(Attempt::into_refusal)?;
        self.in_transaction = command == "BEGIN";
        Ok(())
    }

    /// Ends the transaction with its effect. Only an error of the server itself proves that there is none.
    pub(super) async fn commit(&mut self, deadline: Deadline) -> Result<(), Fault> {
        self.command("COMMIT", deadline)
            .await
            .map_err(|fault| match fault {
                Fault::Unavailable(cause) => Fault::OutcomeUnknown(cause.into()),
                Fault::DeadlineExceeded => {
                    Fault::OutcomeUnknown(std::sync::Arc::new(DeadlineExceeded).into())
                }
                fault => fault,
            })
    }

    /// Ends the transaction without effect; where that fails, closing the connection does it.
    pub(super) async fn roll_back(&mut self, deadline: Deadline) {
        if self.clean {
            let _ = self.command("ROLLBACK", deadline).await;
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
