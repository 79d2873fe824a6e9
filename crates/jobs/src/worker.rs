//! The worker: supervised, with a lease that brings the jobs of a dead process back within seconds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use database::{Database, Library, Schema, SchemaState, connect_options};
use futures_util::FutureExt;
use graphile_worker::{
    Database as LibraryDatabase, LocalQueueConfig, RefetchDelayConfig, WorkerBuildError, WorkerOptions,
    WorkerUtils, sqlx::SqlxDatabase,
};
use resilience::Deadline;
use sqlx::{
    PgConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    runtime::{self, Runtime},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    BoundKind, JobMetrics, Settings,
    deliver::{Deliveries, Delivery},
    watched::{Health, Watched},
};

const SCHEMA: &str = "graphile_worker";
/// The newest migration of the library that is built in; a test holds it against the library.
const LIBRARY_MIGRATION: i32 = 22;

/// A worker that is silent for longer has lost its jobs.
pub(super) const LEASE: Duration = Duration::from_secs(10);
const HEARTBEAT: Duration = Duration::from_secs(2);
const SWEEP: Duration = Duration::from_secs(2);
/// The library's own connections: one listens, the others fetch, complete and beat.
const LIBRARY_CONNECTIONS: u32 = 6;
/// A claimed job waits no longer than this in the process before it is given back.
const CLAIM: Duration = Duration::from_secs(3);
const COMPLETION_BATCH: Duration = Duration::from_millis(2);
const POLL: Duration = Duration::from_millis(500);
/// After a fetch that found nothing; a notice of a new job comes sooner.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Patience with the database while it is asked for its schema.
const SCHEMA_LIMIT: Duration = Duration::from_secs(3);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// The library's part of the schema.
pub(super) const LIBRARY: Library = Library {
    migrate: |options| migrate_library(options).boxed(),
    is_current: |connection| library_schema_is_current(connection).boxed(),
};

/// What a worker is made of.
#[derive(Debug)]
pub struct WorkerParts {
    /// The section `jobs`.
    pub settings: Settings,
    /// The section `database`, for the library's own connections.
    pub connection: database::Settings,
    /// For the jobs themselves, with a pool and limits of their own.
    pub database: Database,
    /// For the look at the schema.
    pub checks: Database,
    /// The schema that must be there before the work begins.
    pub schema: Schema,
    /// What it works off.
    pub kinds: Vec<BoundKind>,
    /// Time for jobs to end during a graceful shutdown.
    pub drain: Duration,
    /// How many attempts ended how.
    pub metrics: JobMetrics,
    /// Whether it works: for readiness.
    pub working: Arc<AtomicBool>,
}

/// A worker that runs, and is built anew whenever it ends.
#[derive(Debug)]
pub struct Worker {
    leaving: CancellationToken,
    task: Option<JoinHandle<()>>,
    jobs: Option<Runtime>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Without waiting: a job that never yields must not keep the process.
        if let Some(jobs) = self.jobs.take() {
            jobs.shutdown_background();
        }
    }
}

impl Worker {
    /// Works off the jobs of this service, once the schema is there.
    ///
    /// # Errors
    /// When `database.url` cannot be used.
    pub fn start(parts: WorkerParts) -> anyhow::Result<Self> {
        let leaving = CancellationToken::new();
        // Apart from everything else: a job that never yields must not stop the heartbeat.
        let jobs = runtime::Builder::new_multi_thread()
            .thread_name("jobs")
            .enable_all()
            .build()?;
        let deliveries = Deliveries {
            jobs: jobs.handle().clone(),
            database: parts.database.clone(),
            kinds: parts.kinds.clone().into(),
            metrics: parts.metrics.clone(),
            drain: parts.drain,
            leaving: leaving.clone(),
        };
        let options = connect_options(&parts.connection)?;
        #[expect(clippy::disallowed_methods, reason = "`stop` waits for it")]
        let task = tokio::spawn(supervise(parts, deliveries, options, leaving.clone()));
        Ok(Self {
            leaving,
            task: Some(task),
            jobs: Some(jobs),
        })
    }

    /// Takes no new jobs; hands those back that do not end in time.
    pub async fn stop(mut self) {
        self.leaving.cancel();
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

async fn supervise(
    parts: WorkerParts,
    deliveries: Deliveries,
    options: PgConnectOptions,
    leaving: CancellationToken,
) {
    let (working, concurrency, drain) = (parts.working.clone(), parts.settings.concurrency, parts.drain);
    let scheduler = super::housekeeping::schedule(deliveries.clone());
    let work = async {
        let mut backoff = FIRST_BACKOFF;
        if leaving
            .run_until_cancelled(wait_for_schema(&parts))
            .await
            .is_none()
        {
            return;
        }
        loop {
            let began = tokio::time::Instant::now();
            let ended = work_once(deliveries.clone(), options.clone(), concurrency, working.clone()).await;
            if leaving.is_cancelled() {
                return;
            }
            match ended {
                Ok(()) => tracing::warn!("worker query failed; restarting worker"),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "worker stopped; restarting it");
                }
            }
            if began.elapsed() > LEASE {
                backoff = FIRST_BACKOFF;
            }
            let pause = tokio::time::sleep(backoff.mul_f64(0.5 + fastrand::f64() / 2.0));
            if leaving.run_until_cancelled(pause).await.is_none() {
                return;
            }
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    };
    // The scheduler never ends.
    tokio::select! {
        () = work => {}
        () = scheduler => {}
        () = async { leaving.cancelled().await; tokio::time::sleep(drain).await } => {
            tracing::warn!("worker did not stop in time");
        }
    }
    working.store(false, Ordering::Release);
}

async fn work_once(
    deliveries: Deliveries,
    options: PgConnectOptions,
    concurrency: usize,
    working: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    // A pool of its own for each worker: what a silent connection holds of the last one must not starve the next.
    let pool = PgPoolOptions::new()
        .max_connections(LIBRARY_CONNECTIONS)
        .acquire_timeout(LEASE / 4)
        .connect_lazy_with(options);
    let health = Health::new();
    let driver = Watched::new(SqlxDatabase::new(pool), health.clone());
    let leaving = deliveries.leaving.clone();
    // More than jobs are given to end: they hand themselves back before the library drops them.
    let drain = deliveries.drain;
    let building = WorkerOptions::default()
        .database(LibraryDatabase::new(driver))
        .schema(SCHEMA)
        .concurrency(concurrency)
        .poll_interval(POLL)
        .local_queue(
            LocalQueueConfig::default()
                .with_size(2 * concurrency)
                .with_ttl(CLAIM)
                .with_refetch_delay(
                    // Without it the library asks again at once, for ever: each fetch wakes itself (seen: 4,500
                    // statements a second from an idle worker). One new job ends the delay.
                    RefetchDelayConfig::default()
                        .with_duration(LOOK_AGAIN)
                        .with_threshold(0)
                        .with_max_abort_threshold(1),
                ),
        )
        .complete_job_batch_delay(COMPLETION_BATCH)
        .heartbeat_interval(HEARTBEAT)
        .sweep_interval(SWEEP)
        .sweep_threshold(LEASE)
        .recovery_delay(Duration::ZERO)
        .listen_os_shutdown_signals(false)
        .shutdown_grace_period(drain * 3 / 4)
        .shutdown_interrupted_job_retry_delay(Duration::ZERO)
        .add_extension(deliveries)
        .define_job::<Delivery>()
        .init();
    let Some(built) = leaving.run_until_cancelled(building).await else {
        return Ok(());
    };
    let worker = Arc::new(built?);
    let running = worker.clone();
    #[expect(clippy::disallowed_methods, reason = "awaited below")]
    let mut run = tokio::spawn(async move { running.run().await });
    working.store(true, Ordering::Release);
    tracing::info!(concurrency, "working");
    let ended = tokio::select! {
        ended = &mut run => Some(ended),
        () = leaving.cancelled() => None,
        () = health.broken() => None,
    };
    working.store(false, Ordering::Release);
    let ended = if let Some(ended) = ended {
        ended
    } else {
        worker.request_shutdown();
        // Without a database the library would try for minutes to give its jobs back; the lease does it too.
        if let Ok(ended) = tokio::time::timeout(drain, &mut run).await {
            ended
        } else {
            // Its heartbeat would keep the lease on what it has locked.
            run.abort();
            return Ok(());
        }
    };
    Ok(ended??)
}

/// Only `api migrate` changes the schema.
async fn wait_for_schema(parts: &WorkerParts) {
    let state = || parts.schema.state(&parts.checks, Deadline::after(SCHEMA_LIMIT));
    while !matches!(state().await, Ok(SchemaState::NewEnough)) {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Brings the library's schema up to date.
async fn migrate_library(options: PgConnectOptions) -> anyhow::Result<()> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await?;
    let migrated = WorkerUtils::new(pool.clone(), SCHEMA)
        .migrate()
        .await
        .map_err(WorkerBuildError::from);
    pool.close().await;
    migrated.context("the job queue's migrations failed")
}

/// Whether the library's schema is there and new enough.
async fn library_schema_is_current(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let there = sqlx::query_scalar("SELECT to_regclass('graphile_worker.migrations') IS NOT NULL");
    if !there.fetch_one(&mut *connection).await? {
        return Ok(false);
    }
    let current = sqlx::query_scalar("SELECT COALESCE(max(id), 0) >= $1 FROM graphile_worker.migrations");
    current.bind(LIBRARY_MIGRATION).fetch_one(connection).await
}
