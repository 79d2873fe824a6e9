//! Bringing the schema up to date, and whether it is new enough for this binary.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::Context;
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use super::{
    Database, Fault, MIGRATIONS, MigrationSet, Settings, Transaction, TransactionError, UnitOfWork,
    migrations::{LOCK_TIMEOUT, LOOK_AGAIN},
    pool::parse_url,
};

/// A cluster that enforces NetworkPolicies lets a new pod through only after a moment.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// This crate's set, that of the jobs, and the service's own.
const MOST_SETS: usize = 3;

/// The migrations this binary was built with: sets in the order in which they run.
#[derive(Clone, Copy, Debug)]
pub struct Schema([Option<&'static MigrationSet>; MOST_SETS]);

/// How the database's schema compares to what this binary needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// At least as new as needed: a newer one is an expand step of the next release.
    NewEnough,
    /// Older: `api migrate` has not run.
    TooOld(TooOld),
}

/// The first set of migrations that is behind, in words for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooOld {
    /// The table that keeps the set's books.
    pub table: &'static str,
    /// The newest migration that has run, none where the set has not run.
    pub found: Option<i64>,
    /// The newest migration that this binary knows.
    pub needed: i64,
}

impl fmt::Display for TooOld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.found {
            Some(found) => write!(f, "{} is at {found}, needed {}", self.table, self.needed)?,
            None => write!(
                f,
                "{} is missing or incomplete, needed {}",
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
    /// The tables of this crate.
    pub const fn new() -> Self {
        Self([Some(&MIGRATIONS), None, None])
    }

    /// Another set, which runs after those before it.
    ///
    /// # Panics
    /// When there are too many.
    pub const fn with(mut self, set: &'static MigrationSet) -> Self {
        let mut next = 0;
        while self.0[next].is_some() {
            next += 1;
        }
        self.0[next] = Some(set);
        self
    }

    fn sets(&self) -> impl Iterator<Item = &'static MigrationSet> {
        self.0.into_iter().flatten()
    }

    /// The newest migration of the last set, which is the service's own where it has one.
    pub fn needed(&self) -> i64 {
        self.sets().last().map_or(0, MigrationSet::newest)
    }

    /// Names the migrations as they are built in: another name where one of them reads differently.
    pub fn fingerprint(&self) -> String {
        let checksums = self.sets().flat_map(MigrationSet::checksums);
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
    pub async fn migrate(&self, settings: &Settings) -> anyhow::Result<usize> {
        let options = parse_url(settings)?.options([("lock_timeout", LOCK_TIMEOUT)]);
        let mut connection = connect(&options)
            .await
            .context("the database cannot be reached")?;
        wait_for_turn(&mut connection).await?;
        let mut applied = 0;
        for set in self.sets() {
            applied += set.run(&mut connection, &options).await?;
        }
        connection
            .close()
            .await
            .context("the database was lost after the migrations")?;
        Ok(applied)
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
        let found = database
            .one_statement(&NewestMigrations(*self), deadline, || ())
            .await?;
        let behind = self
            .sets()
            .zip(found)
            .find(|(set, found)| found.is_none_or(|found| found < set.newest()));
        Ok(match behind {
            None => SchemaState::NewEnough,
            Some((set, found)) => SchemaState::TooOld(TooOld {
                table: set.table(),
                found,
                needed: set.newest(),
            }),
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

/// The newest migration of each set.
struct NewestMigrations(Schema);

impl UnitOfWork for NewestMigrations {
    const NAME: &'static str = "newest_migrations";
    type Output = Vec<Option<i64>>;
    type Refusal = Fault;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Vec<Option<i64>>, TransactionError<Fault>> {
        let mut newest = Vec::with_capacity(MOST_SETS);
        for set in self.0.sets() {
            newest.push(set.newest_applied(transaction).await?);
        }
        Ok(newest)
    }
}
