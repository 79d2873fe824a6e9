//! The worker: claims runs, executes them, and shows that it is alive.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use database::{Database, Schema, SchemaState};
use resilience::Deadline;
use sqlx::postgres::PgConnectOptions;
use tokio::{
    runtime::Runtime,
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    BoundKind, JobMetrics, Settings, attempt::Attempts, claim_loop::claim_runs, in_flight::InFlight,
    leaseholder::Leaseholder, leases::Leases, listener::listen, scheduler, suspects::run_suspects,
};

/// The interval at which due runs are looked for, in case a notification was lost.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const POLL_INTERVAL_WITHOUT_NOTIFICATIONS: Duration = Duration::from_millis(250);
/// The interval at which a starting worker checks the database.
const START_INTERVAL: Duration = Duration::from_millis(250);
/// The time limit of a check of the schema.
const SCHEMA_LIMIT: Duration = Duration::from_secs(3);
/// `EX_SOFTWARE` (sysexits.h). The supervisor of the process starts it again.
const EX_SOFTWARE: i32 = 70;

/// The parts of a worker.
#[derive(Debug)]
pub struct WorkerParts {
    /// The section `jobs`.
    pub settings: Settings,
    /// The connection that listens for notifications. Without one, as behind a pooler, the worker polls more often.
    pub listen: Option<PgConnectOptions>,
    /// The database, with the connections for jobs.
    pub database: Database,
    /// The database, with connections that do not wait behind jobs.
    pub checks: Database,
    /// The schema that must exist before the work begins.
    pub schema: Schema,
    /// The kinds of jobs that the worker runs.
    pub kinds: Vec<BoundKind>,
    /// The time limit of a graceful shutdown. Jobs have half of it to end by themselves; then they are aborted and handed
    /// back.
    pub drain: Duration,
    /// The metrics of attempts.
    pub metrics: JobMetrics,
    /// Set while claims and heartbeats succeed: for readiness.
    pub working: Arc<AtomicBool>,
}

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    shutdown: Shutdown,
    task: JoinHandle<()>,
    jobs: Option<Runtime>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
        // Without waiting: a job that does not yield must not keep the process.
        if let Some(jobs) = self.jobs.take() {
            jobs.shutdown_background();
        }
    }
}

impl Worker {
    /// Starts a worker, which runs jobs as soon as the schema is new enough.
    ///
    /// # Errors
    /// When no threads can be started.
    ///
    /// # Panics
    /// When called outside a Tokio runtime.
    pub fn start(parts: WorkerParts) -> anyhow::Result<Self> {
        // A runtime of its own: a job that does not yield must not stop the heartbeats.
        let jobs = tokio::runtime::Builder::new_multi_thread()
            .thread_name("jobs")
            .enable_all()
            .build()?;
        let attempts = Attempts {
            database: parts.database.clone(),
            metrics: parts.metrics.clone(),
            jobs: jobs.handle().clone(),
            handing_back: CancellationToken::new(),
            exiting: CancellationToken::new(),
            stuck: CancellationToken::new(),
        };
        let shutdown = Shutdown {
            stopping: CancellationToken::new(),
            in_flight: InFlight::new(attempts.clone(), parts.kinds.clone(), parts.settings.concurrency),
            leaseholder: Arc::new(Leaseholder::new(
                parts.database.clone(),
                parts.checks.clone(),
                parts.working.clone(),
            )),
            attempts,
            drain: parts.drain,
        };
        let work = work(parts, shutdown.clone());
        let exit_if_stuck = shutdown.clone().exit_if_stuck();
        #[expect(clippy::disallowed_methods, reason = "`stop` ends it")]
        let task = tokio::spawn(async move {
            tokio::join!(work, exit_if_stuck);
        });
        Ok(Self {
            shutdown,
            task,
            jobs: Some(jobs),
        })
    }

    /// Stops claiming, waits for jobs to end, and returns the others to the queue. Takes at most [`WorkerParts::drain`].
    /// Heartbeats continue until then.
    pub async fn stop(self) {
        self.shutdown.run().await;
    }
}

async fn work(parts: WorkerParts, shutdown: Shutdown) {
    let Shutdown {
        stopping,
        in_flight,
        leaseholder,
        ..
    } = shutdown;
    let start = async {
        wait_for_schema(&parts).await;
        while let Err(error) = leaseholder.register().await {
            tracing::warn!(%error, "the worker cannot be registered; retrying");
            sleep(START_INTERVAL).await;
        }
    };
    if stopping.run_until_cancelled(start).await.is_none() {
        return;
    }
    tracing::info!(concurrency = parts.settings.concurrency, "worker started");
    let wake = Arc::new(Notify::new());
    let poll_interval = if parts.listen.is_some() {
        POLL_INTERVAL
    } else {
        POLL_INTERVAL_WITHOUT_NOTIFICATIONS
    };
    let listen = async {
        match parts.listen {
            Some(options) => listen(options, wake.clone()).await,
            None => std::future::pending().await,
        }
    };
    let suspect_due = Arc::new(Notify::new());
    let leases = Leases {
        in_flight: in_flight.clone(),
        leaseholder: leaseholder.clone(),
        metrics: parts.metrics,
        lease: parts.settings.lease,
        suspect_due: suspect_due.clone(),
    };
    tokio::join!(
        claim_runs(
            in_flight.clone(),
            leaseholder.clone(),
            wake.clone(),
            poll_interval,
            stopping.clone()
        ),
        leases.keep(),
        run_suspects(in_flight, leaseholder, suspect_due, stopping.clone()),
        stopping.run_until_cancelled(listen),
        stopping.run_until_cancelled(scheduler::run(parts.checks, parts.kinds)),
    );
}

/// Only `api migrate` changes the schema.
async fn wait_for_schema(parts: &WorkerParts) {
    let state = || parts.schema.state(&parts.checks, Deadline::after(SCHEMA_LIMIT));
    while !matches!(state().await, Ok(SchemaState::NewEnough)) {
        sleep(START_INTERVAL).await;
    }
}

/// The way in which a worker stops.
#[derive(Clone, Debug)]
struct Shutdown {
    stopping: CancellationToken,
    in_flight: Arc<InFlight>,
    leaseholder: Arc<Leaseholder>,
    attempts: Attempts,
    drain: Duration,
}

impl Shutdown {
    async fn run(&self) {
        let began = Instant::now();
        self.stopping.cancel();
        self.leaseholder.set_claiming(false);
        // After this, the runs of a claim that was in progress are in flight.
        let _ = timeout_at(began + self.drain / 2, self.leaseholder.no_claim_in_flight()).await;
        // Half of the time for jobs to end by themselves, most of the rest for those that do not yield.
        let _ = timeout_at(began + self.drain / 2, self.in_flight.idle()).await;
        self.attempts.handing_back.cancel();
        let _ = timeout_at(began + self.drain * 9 / 10, self.in_flight.idle()).await;
        self.attempts.exiting.cancel();
        if timeout_at(began + self.drain, self.in_flight.idle())
            .await
            .is_err()
        {
            tracing::warn!("some jobs were not returned to the queue; they return when their lease expires");
        } else {
            let _ = timeout_at(began + self.drain, self.leaseholder.deregister()).await;
        }
    }

    /// A job that does not yield has taken a thread for good. The process ends, after the other jobs have been handed
    /// back.
    async fn exit_if_stuck(self) {
        self.attempts.stuck.cancelled().await;
        tracing::error!("a job does not yield; stopping the worker and exiting");
        self.run().await;
        #[expect(
            clippy::disallowed_methods,
            reason = "nothing else ends a task that does not yield"
        )]
        std::process::exit(EX_SOFTWARE);
    }
}
