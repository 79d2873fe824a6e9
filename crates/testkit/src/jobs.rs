//! Jobs that exist only in tests: each goes wrong in its own way.

use std::time::Duration;

use platform::jobs::{Job, JobFailure, JobKind, Run};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::TestDatabase;

pub(crate) static ALL: &[JobKind] = &[
    JobKind::of::<Poison>(),
    JobKind::of::<Noop>(),
    JobKind::of::<Effect>(),
];

/// How a job goes wrong.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Poison {
    /// It returns an error.
    Error,
    /// It panics.
    Panic,
    /// It ends its process.
    Abort,
    /// It panics while its effect is committed.
    PanicInCommit,
    /// It waits for ever.
    Endless,
    /// It computes for ever, and never yields.
    Spin,
    /// It does not.
    Works,
}

impl Job for Poison {
    const KIND: &'static str = "test_poison";
    const ATTEMPTS: i32 = 2;
    const TIMEOUT: Duration = Duration::from_millis(500);
    type Outcome = ();

    async fn run(&self, _: &Run) -> Result<(), JobFailure> {
        match self {
            Self::Error => Err("provoked-job-error".into()),
            Self::Panic => panic!("provoked-job-panic"),
            Self::Abort => std::process::abort(),
            Self::Endless => std::future::pending().await,
            Self::Spin => loop {
                std::hint::spin_loop();
            },
            Self::PanicInCommit | Self::Works => Ok(()),
        }
    }

    async fn commit(&self, _: &(), _: &mut PgConnection) -> sqlx::Result<()> {
        match self {
            Self::PanicInCommit => panic!("provoked-commit-panic"),
            _ => Ok(()),
        }
    }
}

/// Does nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct Noop {}

impl Job for Noop {
    const KIND: &'static str = "test_noop";
    type Outcome = ();

    async fn run(&self, _: &Run) -> Result<(), JobFailure> {
        Ok(())
    }
}

/// Takes `millis` and has an effect in Postgres: a note.
#[derive(Debug, Serialize, Deserialize)]
pub struct Effect {
    millis: u64,
}

impl Job for Effect {
    const KIND: &'static str = "test_effect";
    type Outcome = Uuid;

    async fn run(&self, run: &Run) -> Result<Uuid, JobFailure> {
        tokio::time::sleep(Duration::from_millis(self.millis)).await;
        Ok(run.id)
    }

    async fn commit(&self, id: &Uuid, connection: &mut PgConnection) -> sqlx::Result<()> {
        let insert = sqlx::query("INSERT INTO test_notes (id, text) VALUES (gen_random_uuid(), $1)");
        insert.bind(id.to_string()).execute(connection).await?;
        Ok(())
    }
}

impl TestDatabase {
    /// Enqueues jobs as `enqueue` does, `count` of them; gives the id of the last.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn enqueue(&self, kind: &str, payload: Value, attempts: i32, count: i32) -> Uuid {
        let statement = sqlx::query_scalar(
            "WITH run AS (
               INSERT INTO job_runs (id, subject, kind, payload, attempts_allowed)
               SELECT gen_random_uuid(), 'alice', $1, $2, $3 FROM generate_series(1, $4) RETURNING id, delivery
             ), delivered AS (
               SELECT run.id, (graphile_worker.add_job('run', json_build_object('run', run.id, 'delivery', run.delivery))).id AS job
               FROM run
             )
             SELECT id FROM delivered ORDER BY job DESC LIMIT 1",
        );
        let statement = statement.bind(kind).bind(payload).bind(attempts).bind(count);
        statement
            .fetch_one(&mut self.connect().await)
            .await
            .expect("the jobs are enqueued")
    }

    /// Enqueues a job that goes wrong like this.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn enqueue_poison(&self, poison: Poison) -> Uuid {
        self.enqueue(Poison::KIND, json!(poison), Poison::ATTEMPTS, 1)
            .await
    }

    /// Enqueues a job that takes so long and then writes a note.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn enqueue_effect(&self, millis: u64) -> Uuid {
        self.enqueue(Effect::KIND, json!({ "millis": millis }), Effect::ATTEMPTS, 1)
            .await
    }

    /// Status, starts and last error of a run.
    ///
    /// # Panics
    /// When there is none.
    pub async fn job(&self, id: Uuid) -> (String, i32, String) {
        let row =
            sqlx::query_as("SELECT status, attempt, COALESCE(last_error, '') FROM job_runs WHERE id = $1");
        row.bind(id)
            .fetch_one(&mut self.connect().await)
            .await
            .expect("there is such a run")
    }

    /// Waits until a run has this status; gives starts and last error.
    ///
    /// # Panics
    /// After forty seconds.
    pub async fn wait_for_job(&self, id: Uuid, wanted: &str) -> (i32, String) {
        let started = std::time::Instant::now();
        loop {
            let (status, attempt, error) = self.job(id).await;
            if status == wanted {
                return (attempt, error);
            }
            assert!(
                started.elapsed() < Duration::from_secs(40),
                "still {status} after {attempt} starts: {error}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
