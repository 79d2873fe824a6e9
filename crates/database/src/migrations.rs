//! Sets of migrations: one for each crate that has tables, and the service's own.

use std::time::Duration;

use anyhow::Context;
use sqlx::{AssertSqlSafe, PgConnection, migrate::Migrator};

/// The lock timeout of a migration in a transaction: all traffic queues behind a migration that waits for a lock.
pub(crate) const LOCK_TIMEOUT: &str = "5s";

/// The interval between attempts to connect to the database or to take the migration lock.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Migrations with their own bookkeeping table, so that the version numbers of different sets are independent.
#[derive(Debug)]
pub struct MigrationSet {
    table: &'static str,
    migrator: &'static Migrator,
    tables: &'static [&'static str],
}

impl MigrationSet {
    /// The migrations of a crate, with the bookkeeping table `table`. A process reads and writes all of `tables`, and does
    /// not start if its role may not.
    pub const fn of_crate(
        table: &'static str,
        migrator: &'static Migrator,
        tables: &'static [&'static str],
    ) -> Self {
        Self {
            table,
            migrator,
            tables,
        }
    }

    /// The service's own migrations.
    pub const fn of_service(migrator: &'static Migrator) -> Self {
        Self::of_crate("_sqlx_migrations", migrator, &[])
    }

    /// The bookkeeping table.
    pub(crate) fn table(&self) -> &'static str {
        self.table
    }

    /// The tables that a process reads and writes.
    pub(crate) fn tables(&self) -> &'static [&'static str] {
        self.tables
    }

    /// The version of the newest migration; 0 if the set is empty.
    pub(crate) fn newest(&self) -> i64 {
        let versions = self.migrator.iter().map(|migration| migration.version);
        versions.max().unwrap_or_default()
    }

    pub(crate) fn checksums(&self) -> impl Iterator<Item = &[u8]> {
        self.migrator.iter().map(|migration| migration.checksum.as_ref())
    }

    /// The version of the newest applied migration; `None` if the set has never run to completion.
    pub(crate) async fn newest_applied(&self, connection: &mut PgConnection) -> sqlx::Result<Option<i64>> {
        if !self.has_bookkeeping(connection).await? {
            return Ok(None);
        }
        let newest = format!(
            "SELECT COALESCE(max(version), 0) FROM {} WHERE success",
            self.table
        );
        let newest = sqlx::query_scalar(AssertSqlSafe(newest));
        newest.fetch_one(connection).await.map(Some)
    }

    /// Runs the missing migrations one at a time, each with a suitable lock timeout; returns their number.
    pub(crate) async fn run(&self, connection: &mut PgConnection) -> anyhow::Result<usize> {
        let mut migrator = Migrator::with_migrations(self.migrator.iter().cloned().collect());
        migrator.dangerous_set_table_name(self.table);
        // A release that was rolled back has left its migrations, and a fix of the release before it must migrate, too.
        migrator.set_ignore_missing(true);
        let applied = self.applied(connection).await?;
        let newer = applied
            .iter()
            .filter(|version| !self.migrator.version_exists(**version))
            .count();
        if newer > 0 {
            tracing::warn!(
                table = self.table,
                newer,
                "the schema is newer than this release: it has migrations of other releases"
            );
        }
        let missing = self
            .migrator
            .iter()
            .filter(|migration| !applied.contains(&migration.version));
        let mut count = 0;
        for migration in missing {
            if migration.no_tx {
                // `CREATE INDEX CONCURRENTLY` waits for all older transactions but blocks no traffic.
                set_lock_timeout(connection, "0").await?;
                drop_invalid_indexes(connection, migration.sql.as_str()).await?;
            } else {
                set_lock_timeout(connection, LOCK_TIMEOUT).await?;
            }
            migrator
                .run_to(migration.version, &mut *connection)
                .await
                .context("a migration failed; the earlier ones remain applied")?;
            count += 1;
        }
        // Even if none is missing: sqlx compares the applied migrations with those in the binary.
        migrator
            .run(&mut *connection)
            .await
            .context("the applied migrations differ from those in this binary")?;
        Ok(count)
    }

    /// Whether the bookkeeping table exists. It belongs to sqlx, so its queries are not checked at compile time.
    async fn has_bookkeeping(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let exists = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(self.table);
        exists.fetch_one(connection).await
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

/// Drops the invalid indexes that this migration's `CREATE INDEX CONCURRENTLY` left behind when it was interrupted.
/// They serve no query and make the next attempt fail.
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
            tracing::info!(index, "dropping an invalid index left by an earlier attempt");
            // `regclass` has quoted the name.
            let drop = AssertSqlSafe(format!("DROP INDEX CONCURRENTLY {index}"));
            sqlx::query(drop)
                .execute(&mut *connection)
                .await
                .with_context(|| format!("the invalid index {index} cannot be dropped"))?;
        }
    }
    Ok(())
}
