//! Sets of migrations: those of the crates that have tables, and the service's own.

use std::time::Duration;

use anyhow::Context;
use futures_util::future::BoxFuture;
use sqlx::{AssertSqlSafe, PgConnection, migrate::Migrator, postgres::PgConnectOptions};

/// A migration in a transaction that waits longer than this for a lock gives up instead of stopping all traffic behind
/// it.
pub(crate) const LOCK_TIMEOUT: &str = "5s";

/// How often a lock or a database that is not to be had is asked for again.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Migrations with a bookkeeping table of their own, so that sets of different origin have numbers of their own.
#[derive(Debug)]
pub struct MigrationSet {
    table: &'static str,
    migrator: &'static Migrator,
    library: Option<Library>,
}

/// The schema of a library, which only the library can migrate.
#[derive(Clone, Copy, Debug)]
pub struct Library {
    /// Brings its schema up to date, over connections with these options.
    pub migrate: fn(PgConnectOptions) -> BoxFuture<'static, anyhow::Result<()>>,
    /// Whether its schema is there and new enough.
    pub is_current: fn(&mut PgConnection) -> BoxFuture<'_, sqlx::Result<bool>>,
}

impl MigrationSet {
    /// The migrations of a crate; `table` keeps the books.
    pub const fn of_crate(table: &'static str, migrator: &'static Migrator) -> Self {
        Self {
            table,
            migrator,
            library: None,
        }
    }

    /// The service's own migrations.
    pub const fn of_service(migrator: &'static Migrator) -> Self {
        Self::of_crate("_sqlx_migrations", migrator)
    }

    /// The schema of a library, which comes after the migrations of this set.
    pub const fn with_library(mut self, library: Library) -> Self {
        self.library = Some(library);
        self
    }

    /// The table that keeps the books.
    pub(crate) fn table(&self) -> &'static str {
        self.table
    }

    /// The newest migration; 0 where there is none.
    pub(crate) fn newest(&self) -> i64 {
        let versions = self.migrator.iter().map(|migration| migration.version);
        versions.max().unwrap_or_default()
    }

    pub(crate) fn checksums(&self) -> impl Iterator<Item = &[u8]> {
        self.migrator.iter().map(|migration| migration.checksum.as_ref())
    }

    /// The newest migration that has run; none where the set has never run to its end.
    pub(crate) async fn newest_applied(&self, connection: &mut PgConnection) -> sqlx::Result<Option<i64>> {
        if !self.has_bookkeeping(connection).await? {
            return Ok(None);
        }
        if let Some(library) = self.library
            && !(library.is_current)(connection).await?
        {
            return Ok(None);
        }
        let newest = format!(
            "SELECT COALESCE(max(version), 0) FROM {} WHERE success",
            self.table
        );
        let newest = sqlx::query_scalar(AssertSqlSafe(newest));
        newest.fetch_one(connection).await.map(Some)
    }

    /// Runs what is missing, one migration at a time, each under the limit that suits it; returns how many there were.
    pub(crate) async fn run(
        &self,
        connection: &mut PgConnection,
        options: &PgConnectOptions,
    ) -> anyhow::Result<usize> {
        let mut migrator = Migrator::with_migrations(self.migrator.iter().cloned().collect());
        migrator.dangerous_set_table_name(self.table);
        let applied = self.applied(connection).await?;
        let missing = self
            .migrator
            .iter()
            .filter(|migration| !applied.contains(&migration.version));
        let mut count = 0;
        for migration in missing {
            if migration.no_tx {
                // `CREATE INDEX CONCURRENTLY` waits for every older transaction, and blocks no traffic meanwhile.
                set_lock_timeout(connection, "0").await?;
                drop_invalid_indexes(connection, migration.sql.as_str()).await?;
            } else {
                set_lock_timeout(connection, LOCK_TIMEOUT).await?;
            }
            migrator
                .run_to(migration.version, &mut *connection)
                .await
                .context("a migration failed; the ones before it are in place")?;
            count += 1;
        }
        // Also where none is missing: those that ran are compared with what is built in.
        migrator
            .run(&mut *connection)
            .await
            .context("the migrations that ran are not those of this binary")?;
        if let Some(library) = self.library {
            (library.migrate)(options.clone()).await?;
        }
        Ok(count)
    }

    /// The bookkeeping table belongs to sqlx and may not exist yet, hence no compile-time check.
    async fn has_bookkeeping(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let there = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(self.table);
        there.fetch_one(connection).await
    }

    async fn applied(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<i64>> {
        if !self.has_bookkeeping(connection).await? {
            return Ok(Vec::new());
        }
        let applied = format!("SELECT version FROM {} WHERE success", self.table);
        sqlx::query_scalar(AssertSqlSafe(applied))
            .fetch_all(connection)
            .await
    }
}

async fn set_lock_timeout(connection: &mut PgConnection, limit: &'static str) -> sqlx::Result<()> {
    let set = sqlx::query("SELECT set_config('lock_timeout', $1, false)").bind(limit);
    set.execute(connection).await.map(drop)
}

/// `CREATE INDEX CONCURRENTLY` that is cut off leaves an index that serves no query, and stands in its own way.
async fn drop_invalid_indexes(connection: &mut PgConnection, migration: &str) -> anyhow::Result<()> {
    let invalid = sqlx::query_as::<_, (String, String)>(
        "SELECT class.relname, class.oid::regclass::text
         FROM pg_index AS index JOIN pg_class AS class ON class.oid = index.indexrelid
         WHERE NOT index.indisvalid",
    );
    let words = migration.split(|character: char| !character.is_alphanumeric() && character != '_');
    let named: Vec<String> = words.map(str::to_lowercase).collect();
    for (name, index) in invalid.fetch_all(&mut *connection).await? {
        if named.contains(&name.to_lowercase()) {
            tracing::info!(
                index,
                "dropping an invalid index that an earlier attempt left behind"
            );
            // The server's own quoting.
            let drop = AssertSqlSafe(format!("DROP INDEX CONCURRENTLY {index}"));
            sqlx::query(drop)
                .execute(&mut *connection)
                .await
                .with_context(|| format!("the invalid index {index} cannot be dropped"))?;
        }
    }
    Ok(())
}
