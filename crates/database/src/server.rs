//! Questions about the server itself.

use std::{marker::PhantomData, time::Duration};

use resilience::Deadline;
use sqlx::{FromRow, postgres::PgRow};

use crate::{Database, DatabaseError, Transaction, TransactionError, UnitOfWork, transaction::AfterCommit};

/// The server that a database address leads to.
#[derive(Clone, Debug, FromRow)]
pub struct ServerInfo {
    /// The version of Postgres.
    pub version: String,
    /// The version of TLS, if the connection is encrypted.
    pub tls: Option<String>,
}

/// A query with one row.
struct Question<T> {
    query: &'static str,
    answer: PhantomData<fn() -> T>,
}

impl<T: for<'row> FromRow<'row, PgRow> + Send + Unpin + 'static> UnitOfWork for Question<T> {
    const NAME: &'static str = "question";
    type Output = T;
    type Refusal = DatabaseError;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<T, TransactionError<DatabaseError>> {
        Ok(sqlx::query_as(self.query).fetch_one(&mut **transaction).await?)
    }
}

impl Database {
    /// Checks that the database responds within `limit`.
    ///
    /// # Errors
    /// The reason why it does not.
    pub async fn ping(&self, limit: Duration) -> Result<(), DatabaseError> {
        self.ask::<(i32,)>("/* ping */ SELECT 1", limit).await.map(drop)
    }

    /// The version of the server, and whether the connection to it is encrypted.
    ///
    /// # Errors
    /// The reason why the server does not respond within `limit`.
    pub async fn server(&self, limit: Duration) -> Result<ServerInfo, DatabaseError> {
        let query = "SELECT current_setting('server_version') AS version, \
                     (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl) AS tls";
        self.ask(query, limit).await
    }

    async fn ask<T>(&self, query: &'static str, limit: Duration) -> Result<T, DatabaseError>
    where
        T: for<'row> FromRow<'row, PgRow> + Send + Unpin + 'static,
    {
        let (answer, after) = (PhantomData, AfterCommit::default());
        let question = Question { query, answer };
        let asked = self.read_once(&question, &after, Deadline::after(limit));
        asked.await.map_err(TransactionError::into_refusal)
    }
}
