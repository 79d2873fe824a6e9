//! The identity under which a worker holds leases.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use database::{Database, DatabaseError, Transaction, TransactionError, UnitOfWork};
use resilience::Deadline;
use tokio::sync::{RwLock, RwLockReadGuard};
use uuid::Uuid;

/// The time limit of a registration.
const LIMIT: Duration = Duration::from_secs(5);

/// The identity of a worker and its access to the database.
#[derive(Debug)]
pub(crate) struct Leaseholder {
    id: RwLock<Uuid>,
    /// The connections for jobs and claims.
    pub(crate) jobs: Database,
    /// Connections for heartbeats that do not wait behind jobs.
    pub(crate) checks: Database,
    health: Mutex<Health>,
    working: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug)]
struct Health {
    is_claiming: bool,
    is_beating: bool,
}

impl Leaseholder {
    /// `working` is kept up to date: whether claims and heartbeats succeed.
    pub(crate) fn new(jobs: Database, checks: Database, working: Arc<AtomicBool>) -> Self {
        Self {
            id: RwLock::new(Uuid::now_v7()),
            jobs,
            checks,
            health: Mutex::new(Health {
                is_claiming: false,
                is_beating: true,
            }),
            working,
        }
    }

    /// The id. While the guard is held, it does not change.
    pub(crate) async fn id(&self) -> RwLockReadGuard<'_, Uuid> {
        self.id.read().await
    }

    /// Registers the worker, which must precede its first claim.
    pub(crate) async fn register(&self) -> Result<(), DatabaseError> {
        let register = Register(*self.id.read().await);
        self.checks
            .run_idempotent(&register, Deadline::after(LIMIT), || ())
            .await
    }

    /// Registers the worker under a new id, because the leases of the old one have expired. `lose` is called when no claim
    /// is in flight.
    pub(crate) async fn renew(&self, lose: impl FnOnce()) -> Result<(), DatabaseError> {
        {
            let mut id = self.id.write().await;
            *id = Uuid::now_v7();
            lose();
        }
        self.register().await
    }

    /// Waits until no claim is in flight.
    pub(crate) async fn no_claim_in_flight(&self) {
        drop(self.id.write().await);
    }

    /// Ends the registration of a worker without runs.
    pub(crate) async fn deregister(&self) {
        let deregister = Deregister(*self.id.read().await);
        let ended = self
            .checks
            .run_idempotent(&deregister, Deadline::after(LIMIT), || ())
            .await;
        if let Err(error) = ended {
            tracing::debug!(%error, "the worker was not deregistered; its registration expires");
        }
    }

    /// Records whether claims succeed; returns whether the value changed.
    pub(crate) fn set_claiming(&self, succeeds: bool) -> bool {
        self.update(|health| std::mem::replace(&mut health.is_claiming, succeeds) != succeeds)
    }

    /// Records whether heartbeats succeed; returns whether the value changed.
    pub(crate) fn set_beating(&self, succeeds: bool) -> bool {
        self.update(|health| std::mem::replace(&mut health.is_beating, succeeds) != succeeds)
    }

    fn update(&self, change: impl FnOnce(&mut Health) -> bool) -> bool {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut health);
        self.working
            .store(health.is_claiming && health.is_beating, Ordering::Release);
        changed
    }
}

struct Register(Uuid);

impl UnitOfWork for Register {
    const NAME: &'static str = "register_worker";
    type Output = ();
    type Refusal = DatabaseError;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<DatabaseError>> {
        sqlx::query!(
            "/* register_worker */ INSERT INTO job_workers (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET seen_at = now()",
            self.0
        )
        .execute(&mut **transaction)
        .await?;
        Ok(())
    }
}

struct Deregister(Uuid);

impl UnitOfWork for Deregister {
    const NAME: &'static str = "deregister_worker";
    type Output = ();
    type Refusal = DatabaseError;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<DatabaseError>> {
        // No run is in flight: one that is still marked as running was claimed by a statement whose response was lost, or
        // its end could not be recorded.
        sqlx::query!(
            "/* deregister_worker */
            WITH returned AS (
              UPDATE job_runs
              SET status = CASE WHEN cancel_requested_at IS NULL THEN 'queued' ELSE 'cancelled' END,
                  finished_at = CASE WHEN cancel_requested_at IS NOT NULL THEN now() END, worker = NULL, progress = NULL
              WHERE worker = $1 AND status = 'running'
            )
            DELETE FROM job_workers WHERE id = $1",
            self.0
        )
        .execute(&mut **transaction)
        .await?;
        Ok(())
    }
}
