//! Schema migrations, and the check that the schema is new enough for this binary.

use std::{
    fmt,
    io::ErrorKind,
    time::{Duration, Instant},
};

use anyhow::Context;
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use super::{
    Database, DatabaseError, MIGRATIONS, MigrationSet, Settings, Transaction, TransactionError, UnitOfWork,
    migrations::{LOCK_TIMEOUT, POLL_INTERVAL},
    pool::direct_options,
};

/// How long connecting is retried: in a cluster that enforces `NetworkPolicies`, a new pod has no network at first.
const CONNECT_RETRY_LIMIT: Duration = Duration::from_secs(10);

/// The maximum number of sets: those of this crate, of the jobs and of the service.
const MAX_SETS: usize = 3;

/// The migrations this binary was built with: sets in the order in which they run.
#[derive(Clone, Copy, Debug)]
pub struct Schema([Option<&'static MigrationSet>; MAX_SETS]);

/// The state of the database's schema, compared with what this binary needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// The schema is at least as new as needed. A newer one is the expand step of the next release.
    NewEnough,
    /// The schema is older than needed: `api migrate` has not run.
    TooOld(TooOld),
    /// The role of this process may not read and write this table of the platform: `api migrate --grant-to` has not run.
    Forbidden(&'static str),
}

/// The first set of migrations that is behind. Its `Display` is for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooOld {
    /// The bookkeeping table of the set.
    pub table: &'static str,
    /// The version of the newest applied migration; `None` if the set has never run to completion.
    pub found: Option<i64>,
    /// The version of the newest migration in this binary.
    pub needed: i64,
}

impl fmt::Display for TooOld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.found {
            Some(found) => write!(f, "{} is at {found}, needs {}", self.table, self.needed)?,
            None => write!(
                f,
                "{} is missing or incomplete, needs {}",
                self.table, self.needed
            )?,
        }
        write!(f, "; run `api migrate`")
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self::new()
    }
}

impl Schema {
    /// The migrations of this crate alone.
    pub const fn new() -> Self {
        Self([Some(&MIGRATIONS), None, None])
    }

    /// Adds a set, which runs after the previous ones.
    ///
    /// # Panics
    /// When there are more than three sets.
    pub const fn with(mut self, set: &'static MigrationSet) -> Self {
        let mut next = 0;
        while self.0[next].is_some() {
            next += 1;
        }
        self.0[next] = Some(set);
        self
    }

    pub(crate) fn sets(&self) -> impl Iterator<Item = &'static MigrationSet> {
        self.0.into_iter().flatten()
    }

    /// The version of the newest migration of the last set, which is the service's own if it has one.
    pub fn needed(&self) -> i64 {
        self.sets().last().map_or(0, MigrationSet::newest)
    }

    /// A fingerprint of the built-in migrations, which changes when the text of any of them changes.
    pub fn fingerprint(&self) -> String {
        let checksums = self.sets().flat_map(MigrationSet::checksums);
        let digest = checksums.fold(Sha256::new(), sha2::Digest::chain_update);
        digest.finalize()[..6]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Runs the missing migrations over a dedicated connection; returns their number.
    ///
    /// # Errors
    /// When the database cannot be reached, or a migration fails or was changed after it ran.
    pub async fn migrate(&self, settings: &Settings) -> anyhow::Result<usize> {
        let options = direct_options(settings)?
            .application_name("migrate")
            .options([("lock_timeout", LOCK_TIMEOUT)]);
        let mut connection = connect(&options)
            .await
            .context("the database cannot be reached")?;
        acquire_migration_lock(&mut connection).await?;
        let mut applied = 0;
        for set in self.sets() {
            applied += set.run(&mut connection).await?;
        }
        connection
            .close()
            .await
            .context("the connection was lost after the migrations")?;
        Ok(applied)
    }

    /// Compares the database's schema with these migrations.
    ///
    /// # Errors
    /// When the database cannot be queried.
    pub async fn state(
        &self,
        database: &Database,
        deadline: resilience::Deadline,
    ) -> Result<SchemaState, DatabaseError> {
        let found = database
            .run_idempotent(&NewestMigrations(*self), deadline, || ())
            .await;
        let found = match found {
            // "insufficient_privilege": nothing was ever granted to the role.
            Err(error) if error.sqlstate().as_deref() == Some("42501") => {
                return Ok(SchemaState::Forbidden(MIGRATIONS.table()));
            }
            found => found?,
        };
        let behind = self
            .sets()
            .zip(found)
            .find(|(set, found)| found.is_none_or(|found| found < set.newest()));
        Ok(match behind {
            None => {
                let privileges = Privileges(*self);
                let forbidden = database.run_idempotent(&privileges, deadline, || ()).await?;
                forbidden.map_or(SchemaState::NewEnough, SchemaState::Forbidden)
            }
            Some((set, found)) => SchemaState::TooOld(TooOld {
                table: set.table(),
                found,
                needed: set.newest(),
            }),
        })
    }
}

/// Connects, and retries while the network of a new pod or the database server is still starting.
async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let began = Instant::now();
    loop {
        match PgConnection::connect_with(options).await {
            // The certificate is not valid.
            Err(sqlx::Error::Io(error)) if error.kind() == ErrorKind::InvalidData => return Err(error.into()),
            // A connection that is closed immediately is reported as a protocol error.
            Err(sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) if began.elapsed() < CONNECT_RETRY_LIMIT => {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            result => return result,
        }
    }
}

/// Takes the advisory lock that lets only one process migrate a database; the lock ends with the connection. Polls,
/// because `CREATE INDEX CONCURRENTLY` would wait for a statement that waits for the lock.
async fn acquire_migration_lock(connection: &mut PgConnection) -> sqlx::Result<()> {
    let mut waited = false;
    loop {
        let locked = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtext('migrate'))");
        if locked.fetch_one(&mut *connection).await? {
            return Ok(());
        }
        if !std::mem::replace(&mut waited, true) {
            tracing::info!("another process is migrating this database; waiting for it");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Finds a table of the platform that the role of the connection may not read and write.
struct Privileges(Schema);

impl UnitOfWork for Privileges {
    const NAME: &'static str = "check_privileges";
    type Output = Option<&'static str>;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Option<&'static str>, TransactionError<DatabaseError>> {
        let tables: Vec<&'static str> = self.0.sets().flat_map(MigrationSet::tables).copied().collect();
        let allowed = sqlx::query_scalar::<_, bool>(
            "/* check_privileges */
            SELECT has_table_privilege(name, 'SELECT') AND has_table_privilege(name, 'INSERT')
               AND has_table_privilege(name, 'UPDATE') AND has_table_privilege(name, 'DELETE')
            FROM unnest($1::text[]) WITH ORDINALITY AS tables (name, number) ORDER BY number",
        );
        let allowed = allowed.bind(&tables).fetch_all(&mut **transaction).await?;
        let forbidden = tables.iter().zip(allowed).find(|(_, allowed)| !allowed);
        Ok(forbidden.map(|(table, _)| *table))
    }
}

/// Reads the version of the newest applied migration of each set.
struct NewestMigrations(Schema);

impl UnitOfWork for NewestMigrations {
    const NAME: &'static str = "newest_migrations";
    type Output = Vec<Option<i64>>;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Vec<Option<i64>>, TransactionError<DatabaseError>> {
        let mut newest = Vec::with_capacity(MAX_SETS);
        for set in self.0.sets() {
            newest.push(set.newest_applied(transaction).await?);
        }
        Ok(newest)
    }
}
