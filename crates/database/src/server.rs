//! Questions about the server itself.

use std::time::Duration;

use resilience::Deadline;

use crate::{Database, DatabaseError, Transaction, TransactionError, UnitOfWork, transaction::AfterCommit};

/// The server that a database address leads to.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    /// The version of Postgres.
    pub version: String,
    /// The version of TLS, if the connection is encrypted.
    pub tls: Option<String>,
}

impl Database {
    /// Checks that the database responds within `limit`.
    ///
    /// # Errors
    /// The reason why it does not.
    pub async fn ping(&self, limit: Duration) -> Result<(), DatabaseError> {
        struct Ping;
        impl UnitOfWork for Ping {
            const NAME: &'static str = "ping";
            type Output = ();
            type Refusal = DatabaseError;
            async fn run(
                &self,
                transaction: &mut Transaction<'_>,
            ) -> Result<(), TransactionError<DatabaseError>> {
                sqlx::query("/* ping */ SELECT 1")
                    .execute(&mut **transaction)
                    .await?;
                Ok(())
            }
        }
        let after = AfterCommit::default();
        let pinged = self.read_once(&Ping, &after, Deadline::after(limit)).await;
        pinged.map_err(TransactionError::into_refusal)
    }

    /// The version of the server, and whether the connection to it is encrypted.
    ///
    /// # Errors
    /// The reason why the server does not respond within `limit`.
    pub async fn server(&self, limit: Duration) -> Result<ServerInfo, DatabaseError> {
        struct Describe;
        impl UnitOfWork for Describe {
            const NAME: &'static str = "describe";
            type Output = ServerInfo;
            type Refusal = DatabaseError;
            async fn run(
                &self,
                transaction: &mut Transaction<'_>,
            ) -> Result<ServerInfo, TransactionError<DatabaseError>> {
                let query = "SELECT current_setting('server_version'), \
                             (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl)";
                let (version, tls) = sqlx::query_as(query).fetch_one(&mut **transaction).await?;
                Ok(ServerInfo { version, tls })
            }
        }
        let after = AfterCommit::default();
        let described = self.read_once(&Describe, &after, Deadline::after(limit)).await;
        described.map_err(TransactionError::into_refusal)
    }
}
