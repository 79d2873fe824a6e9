//! Questions about the server itself.

use std::time::Duration;

use resilience::Deadline;

use crate::{Database, DatabaseError, Transaction, TransactionError, UnitOfWork, transaction::AfterCommit};

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

/// Asks for the version of the server.
struct ServerVersion;

impl UnitOfWork for ServerVersion {
    const NAME: &'static str = "server_version";
    type Output = String;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<String, TransactionError<DatabaseError>> {
        let query = sqlx::query_scalar("/* server_version */ SELECT current_setting('server_version')");
        Ok(query.fetch_one(&mut **transaction).await?)
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

    /// The version of the server.
    ///
    /// # Errors
    /// The reason why the server does not respond within `limit`.
    pub async fn server_version(&self, limit: Duration) -> Result<String, DatabaseError> {
        self.read_within(&ServerVersion, limit).await
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
