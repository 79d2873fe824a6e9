//! Questions about the server itself.

use std::time::Duration;

use resilience::Deadline;
use sqlx::FromRow;

use crate::{Database, DatabaseError, Transaction, TransactionError, UnitOfWork, transaction::AfterCommit};

/// The server that a database address leads to.
#[derive(Clone, Debug, FromRow)]
pub struct ServerInfo {
    /// The version of Postgres.
    pub version: String,
    /// The version of TLS, if the connection is encrypted.
    pub tls: Option<String>,
}

/// Checks that the server responds.
struct Ping;

impl UnitOfWork for Ping {
    const NAME: &'static str = "ping";
    type Output = ();
    type Refusal = DatabaseError;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<DatabaseError>> {
        let one = sqlx::query_scalar::<_, i32>("/* ping */ SELECT 1");
        one.fetch_one(&mut **transaction).await?;
        Ok(())
    }
}

/// Asks for the version of the server and the encryption of the connection.
struct DescribeServer;

impl UnitOfWork for DescribeServer {
    const NAME: &'static str = "describe_server";
    type Output = ServerInfo;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<ServerInfo, TransactionError<DatabaseError>> {
        let query = "/* describe_server */ SELECT current_setting('server_version') AS version, \
                     (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl) AS tls";
        Ok(sqlx::query_as(query).fetch_one(&mut **transaction).await?)
    }
}

impl Database {
    /// Checks that the database responds within `limit`.
    ///
    /// # Errors
    /// The reason why it does not.
    pub async fn ping(&self, limit: Duration) -> Result<(), DatabaseError> {
        self.read_within(&Ping, limit).await
    }

    /// The version of the server, and whether the connection to it is encrypted.
    ///
    /// # Errors
    /// The reason why the server does not respond within `limit`.
    pub async fn server(&self, limit: Duration) -> Result<ServerInfo, DatabaseError> {
        self.read_within(&DescribeServer, limit).await
    }

    async fn read_within<U: UnitOfWork<Refusal = DatabaseError>>(
        &self,
        work: &U,
        limit: Duration,
    ) -> Result<U::Output, DatabaseError> {
        let after = AfterCommit::new(&self.notifications);
        let result = self.read_once(work, &after, Deadline::after(limit)).await;
        result.map_err(TransactionError::into_refusal)
    }
}
