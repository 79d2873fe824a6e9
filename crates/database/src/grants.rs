//! The privileges of a role that uses the tables without owning them.

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{Schema, Settings, migrations::MigrationSet, pool::direct_options};

impl Schema {
    /// Grants what a process of the service needs to `role`: reading and writing rows of every table, but neither the
    /// tables themselves nor the record of applied migrations. Repeat it after every migration that adds a table. With a
    /// pooler, the role gets the timeouts, too.
    ///
    /// # Errors
    /// When the database cannot be reached, there is no such role, or the connecting role may not grant or, with a
    /// pooler, may not alter the role.
    pub async fn grant_to(&self, settings: &Settings, role: &str) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect_with(&direct_options(settings)?)
            .await
            .context("the database cannot be reached")?;
        let names = sqlx::query_as::<_, (String, String, String)>(
            "SELECT quote_ident(rolname), quote_ident(current_schema()), quote_ident(current_database())
             FROM pg_roles WHERE rolname = $1",
        );
        let names = names.bind(role).fetch_optional(&mut connection).await?;
        let (role, schema, database) = names.with_context(|| {
            format!("there is no role `{role}`; create it: CREATE ROLE {role} LOGIN PASSWORD '…'")
        })?;
        let mut statements = vec![
            format!("GRANT USAGE ON SCHEMA {schema} TO {role}"),
            format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}"),
            format!("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {role}"),
        ];
        let bookkeeping = self.sets().map(MigrationSet::table);
        statements
            .extend(bookkeeping.map(|table| format!("REVOKE INSERT, UPDATE, DELETE ON {table} FROM {role}")));
        if settings.pooler {
            let timeouts = settings.server_timeouts().map(|(parameter, timeout)| {
                let timeout = timeout.as_millis();
                format!("ALTER ROLE {role} IN DATABASE {database} SET {parameter} = {timeout}")
            });
            statements.extend(timeouts);
        }
        // The names are quoted by Postgres, or constants. The statements of one string are one transaction.
        sqlx::raw_sql(AssertSqlSafe(statements.join("; ")))
            .execute(&mut connection)
            .await
            .with_context(|| format!("the privileges cannot be granted to {role}"))?;
        Ok(connection.close().await?)
    }
}
