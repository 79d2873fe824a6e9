//! Bringing the schema up to date, and whether it is new enough for this binary.

use std::time::{Duration, Instant};

use anyhow::Context;
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use super::{
    Abort, Database, Fault, MigrationSet, Settings, UnitOfWork,
    migrations::{LOCK_TIMEOUT, LOOK_AGAIN},
    pool::parse_url,
};

/// A cluster that enforces NetworkPolicies lets a new pod through only after a moment.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// The migrations this binary was built with: sets in the order in which they run, the service's own last.
#[derive(Clone, Copy, Debug)]
pub struct Schema(&'static [&'static MigrationSet]);

/// How the database's schema compares to what this binary needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// At least as new as needed: a newer one is an expand step of the next release.
    NewEnough,
    /// Older: `api migrate` has not run.
    TooOld {
        /// The newest migration found in the first set that is too old, none where it has not run.
        found: Option<i64>,
        /// The newest migration of that set that this binary knows.
        needed: i64,
    },
}

impl Schema {
    /// The schema described by these sets, the service's own last.
    pub const fn new(sets: &'static [&'static MigrationSet]) -> Self {
        Self(sets)
    }

    /// The newest migration of the service that this binary knows.
    pub fn needed(&self) -> i64 {
        self.0.last().map_or(0, |set| set.newest())
    }

    /// Names the migrations as they are built in: another name where one of them reads differently.
    pub fn fingerprint(&self) -> String {
        let checksums = self.0.iter().flat_map(|set| set.checksums());
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
        for set in self.0 {
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
            .one_statement(&NewestMigrations(self.0), deadline, || ())
            .await?;
        let too_old = self
            .0
            .iter()
            .zip(found)
            .map(|(set, found)| (set.newest(), found))
            .find(|(needed, found)| found.is_none_or(|found| found < *needed));
        Ok(match too_old {
            None => SchemaState::NewEnough,
            Some((needed, found)) => SchemaState::TooOld { found, needed },
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
struct NewestMigrations(&'static [&'static MigrationSet]);

impl UnitOfWork for NewestMigrations {
    const NAME: &'static str = "newest_migrations";
    type Output = Vec<Option<i64>>;
    type Refusal = Fault;

    async fn run(&self, connection: &mut PgConnection) -> Result<Vec<Option<i64>>, Abort<Fault>> {
        let mut newest = Vec::with_capacity(self.0.len());
        for set in self.0 {
            newest.push(set.newest_applied(connection).await?);
        }
        Ok(newest)
    }
}
