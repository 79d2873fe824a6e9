//! Migrations, and whether the schema is new enough for this binary.

use std::time::{Duration, Instant};

use anyhow::Context;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection, migrate::Migrator, postgres::PgConnectOptions};

use super::{Abort, Database, Fault, UnitOfWork, pool::parse_url};
use crate::{
    config,
    jobs::{library_schema_is_current, migrate_library},
};

/// A migration that waits longer than this for a lock gives up instead of stopping all traffic behind it.
const MIGRATION_LOCK_TIMEOUT: &str = "5s";

/// A cluster that enforces NetworkPolicies lets a new pod through only after a moment.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// How often what was not to be had is asked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The migrations this binary was built with.
#[derive(Clone, Copy, Debug)]
pub struct Schema(&'static Migrator);

/// How the database's schema compares to what this binary needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// At least as new as needed: a newer one is an expand step of the next release.
    NewEnough,
    /// Older: `api migrate` has not run.
    TooOld {
        /// The newest migration found, none where there is no schema yet.
        found: Option<i64>,
        /// The newest migration this binary knows.
        needed: i64,
    },
}

impl Schema {
    /// The schema described by these migrations.
    pub const fn new(migrator: &'static Migrator) -> Self {
        Self(migrator)
    }

    /// The newest migration this binary knows.
    pub fn needed(&self) -> i64 {
        self.0
            .iter()
            .map(|migration| migration.version)
            .max()
            .unwrap_or_default()
    }

    /// Names the migrations as they are built in: another name where one of them reads differently.
    pub fn fingerprint(&self) -> String {
        let checksums = self.0.iter().map(|migration| migration.checksum.as_ref());
        let digest = checksums.fold(Sha256::new(), |digest, checksum| digest.chain_update(checksum));
        digest.finalize()[..6]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Runs the migrations that are missing, over a connection of its own; returns how many there were.
    ///
    /// # Errors
    /// When the database cannot be reached, or a migration fails or was changed after it ran.
    pub async fn migrate(&self, settings: &config::Database) -> anyhow::Result<usize> {
        let options = parse_url(settings)?.options([("lock_timeout", MIGRATION_LOCK_TIMEOUT)]);
        let mut connection = connect(&options)
            .await
            .context("the database cannot be reached")?;
        wait_for_turn(&mut connection).await?;
        let applied = self.run(&mut connection).await?;
        migrate_library(options)
            .await
            .context("the job queue's migrations failed")?;
        connection
            .close()
            .await
            .context("the database was lost after the migrations")?;
        Ok(applied)
    }

    /// One migration at a time, each under the limit that suits it; the number of those that were missing.
    async fn run(&self, connection: &mut PgConnection) -> anyhow::Result<usize> {
        let applied = applied(connection).await?;
        let mut count = 0;
        for migration in self.0.iter() {
            if applied.contains(&migration.version) {
                continue;
            }
            if migration.no_tx {
                // `CREATE INDEX CONCURRENTLY` waits for every older transaction, and blocks no traffic meanwhile.
                set_lock_timeout(connection, "0").await?;
                drop_invalid_indexes(connection, migration.sql.as_str()).await?;
            } else {
                set_lock_timeout(connection, MIGRATION_LOCK_TIMEOUT).await?;
            }
            self.0
                .run_to(migration.version, &mut *connection)
                .await
                .context("a migration failed; the ones before it are in place")?;
            count += 1;
        }
        // Also where none is missing: those that ran are compared with what is built in.
        self.0
            .run(&mut *connection)
            .await
            .context("the migrations that ran are not those of this binary")?;
        Ok(count)
    }

    /// Compares with the database.
    ///
    /// # Errors
    /// When the database gave no answer.
    pub async fn state(
        &self,
        database: &Database,
        deadline: resilience::Deadline,
    ) -> Result<SchemaState, Fault> {
        let found = database.one_statement(&NewestMigration, deadline, || ()).await?;
        let needed = self.needed();
        let new_enough = found.is_some_and(|found| found >= needed);
        Ok(if new_enough {
            SchemaState::NewEnough
        } else {
            SchemaState::TooOld { found, needed }
        })
    }
}

/// Waits for the network of a pod that has just started, and for a server that comes up beside it.
async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let began = Instant::now();
    loop {
        match PgConnection::connect_with(options).await {
            // A connection that is cut off at once reads as an answer that makes no sense.
            Err(sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) if began.elapsed() < CONNECT_PATIENCE => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            result => return result,
        }
    }
}

/// The bookkeeping table belongs to sqlx and may not exist yet, hence no compile-time check.
async fn has_bookkeeping(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(connection)
        .await
}

async fn applied(connection: &mut PgConnection) -> sqlx::Result<Vec<i64>> {
    if !has_bookkeeping(connection).await? {
        return Ok(Vec::new());
    }
    sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
        .fetch_all(connection)
        .await
}

async fn set_lock_timeout(connection: &mut PgConnection, limit: &'static str) -> sqlx::Result<()> {
    let set = sqlx::query("SELECT set_config('lock_timeout', $1, false)").bind(limit);
    set.execute(connection).await.map(drop)
}

/// Only one process migrates a database; the lock goes with its connection. It is asked for again and again: a
/// statement that waits for it would be one more that `CREATE INDEX CONCURRENTLY` waits for.
async fn wait_for_turn(connection: &mut PgConnection) -> sqlx::Result<()> {
    let mut waited = false;
    loop {
        let locked = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtext('migrate'))");
        if locked.fetch_one(&mut *connection).await? {
            return Ok(());
        }
        if !std::mem::replace(&mut waited, true) {
            tracing::info!("another process migrates this database; waiting for it");
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// `CREATE INDEX CONCURRENTLY` that is cut off leaves an index that serves no query, and stands in its own way.
async fn drop_invalid_indexes(connection: &mut PgConnection, migration: &str) -> anyhow::Result<()> {
    let invalid = sqlx::query_as::<_, (String, String)>(
        "SELECT class.relname, class.oid::regclass::text
         FROM pg_index AS index JOIN pg_class AS class ON class.oid = index.indexrelid
         WHERE NOT index.indisvalid",
    );
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|character: char| !character.is_alphanumeric() && character != '_');
        words.map(str::to_lowercase).collect()
    };
    let named = words(migration);
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

struct NewestMigration;

impl UnitOfWork for NewestMigration {
    const NAME: &'static str = "newest_migration";
    type Output = Option<i64>;
    type Refusal = Fault;

    async fn run(&self, connection: &mut PgConnection) -> Result<Option<i64>, Abort<Fault>> {
        if !has_bookkeeping(connection).await? {
            return Ok(None);
        }
        if !library_schema_is_current(connection).await? {
            return Ok(None);
        }
        let newest = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success");
        Ok(newest.fetch_one(connection).await?)
    }
}
