//! Checks that sessions are what this process needs: with its timeouts, and with prepared statements. A connection pooler
//! can drop the former silently, and confuse the latter.

use std::time::Duration;

use resilience::Deadline;

use crate::{Database, DatabaseError, Settings, Transaction, TransactionError, UnitOfWork};

/// The statements that each of two connections prepares under the same names.
const STATEMENTS: [&str; 2] = [
    "/* check_prepared */ SELECT $1::integer",
    "/* check_prepared */ SELECT 1 WHERE $1::integer > 0",
];

impl Database {
    /// What is wrong with the sessions of this process, in words for operators; `None` if nothing is.
    ///
    /// # Errors
    /// When the database does not respond within `limit`.
    pub async fn check_sessions(
        &self,
        settings: &Settings,
        limit: Duration,
    ) -> Result<Option<String>, DatabaseError> {
        let deadline = Deadline::after(limit);
        match self.check_prepared_statements(deadline).await {
            Ok(()) => {}
            Err(DatabaseError::StalePlan(_)) => {
                return Ok(Some(
                    "prepared statements do not work; a pooler in transaction mode must support them (PgBouncer 1.21 or \
                     later, with max_prepared_statements greater than 0)"
                        .to_owned(),
                ));
            }
            Err(error) => return Err(error),
        }
        let found = self.run_idempotent(&ReadTimeouts, deadline, || ()).await?;
        for (name, wanted) in settings.server_timeouts() {
            let wanted = i64::try_from(wanted.as_millis()).unwrap_or(i64::MAX);
            let found = found
                .iter()
                .find(|(parameter, _)| parameter == name)
                .map_or(0, |(_, found)| *found);
            // The role may be limited more strictly.
            if !(1..=wanted).contains(&found) {
                return Ok(Some(format!(
                    "{name} is {found} ms for these connections and must be between 1 and {wanted} ms (0 disables it); \
                     behind a pooler, set database.pooler and run `api migrate --grant-to ROLE`"
                )));
            }
        }
        Ok(None)
    }

    /// Prepares different statements under the same name on two connections, which a pooler may lead to one session.
    async fn check_prepared_statements(&self, deadline: Deadline) -> Result<(), DatabaseError> {
        let check = async {
            let mut connections = [self.pool.connect().await?, self.pool.connect().await?];
            for _ in 0..3 {
                for (connection, statement) in connections.iter_mut().zip(STATEMENTS) {
                    sqlx::query(statement).bind(1).execute(connection).await?;
                }
            }
            Ok(())
        };
        let checked: Result<sqlx::Result<()>, _> = deadline.timeout(check).await;
        let checked = checked.map_err(|_| DatabaseError::DeadlineExceeded)?;
        checked.map_err(DatabaseError::from)
    }
}

/// Reads the timeouts of the session, in milliseconds.
struct ReadTimeouts;

impl UnitOfWork for ReadTimeouts {
    const NAME: &'static str = "read_timeouts";
    type Output = Vec<(String, i64)>;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Vec<(String, i64)>, TransactionError<DatabaseError>> {
        let timeouts = sqlx::query_as(
            "/* read_timeouts */ SELECT name, setting::bigint FROM pg_settings WHERE name LIKE '%timeout' AND unit = 'ms'",
        );
        Ok(timeouts.fetch_all(&mut **transaction).await?)
    }
}
