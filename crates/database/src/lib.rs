//! Postgres: a pool whose connections cannot be left half-used, transactions that are retried as a whole
//! and outlive a client that hangs up, and every way it can fail as a [`Fault`] with a problem type.

mod fault;
pub mod idempotency;
mod metrics;
mod migrations;
mod pool;
mod schema;
mod session;
mod settings;
mod transaction;
mod unique_violation;
mod unit_of_work;

pub use self::settings::{IdempotencySettings, Settings};
pub use fault::Fault;
pub use metrics::PoolMetrics;
pub use migrations::{Library, MigrationSet};
pub use pool::connect_options;
pub use schema::{Schema, SchemaState, TooOld};
pub use transaction::{Ended, Transaction};
pub use unique_violation::UniqueViolation;
pub use unit_of_work::{TransactionError, UnitOfWork};

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use outcome::Refusal;
use resilience::{Deadline, RetryEvent, RetryPolicy};
use runtime::{Lifecycle, RequestContext};
use sqlx::migrate::Migrator;
use telemetry::{client_span, metrics::RetryMetrics};
use tokio::sync::oneshot;
use tracing::Instrument;

use self::{pool::ConnectionPool, transaction::AfterCommit};

static MIGRATOR: Migrator = sqlx::migrate!();

/// The tables of this crate: idempotency keys.
pub static MIGRATIONS: MigrationSet = MigrationSet::of_crate("_migrations_database", &MIGRATOR);

/// The database as operations see it: [`read`](Self::read) and [`transaction`](Self::transaction).
#[derive(Clone, Debug)]
pub struct Database {
    pool: ConnectionPool,
    retry: RetryPolicy,
    lifecycle: Lifecycle,
    retries: RetryMetrics,
}

impl Database {
    /// A pool of `size` connections, opened when they are needed.
    ///
    /// # Errors
    /// When `database.url` cannot be parsed.
    pub fn new(
        settings: &Settings,
        size: usize,
        retry: RetryPolicy,
        lifecycle: Lifecycle,
        (metrics, retries): (PoolMetrics, RetryMetrics),
    ) -> anyhow::Result<Self> {
        retries.announce("postgres");
        let pool = ConnectionPool::new(settings, size, lifecycle.runtime().clone(), metrics)?;
        Ok(Self {
            pool,
            retry,
            lifecycle,
            retries,
        })
    }

    /// Runs one statement that changes nothing, again where a transient fault allows it.
    ///
    /// # Errors
    /// The work's own refusal, or a [`Fault`] converted into it.
    pub async fn read<W: UnitOfWork>(
        &self,
        work: &W,
        context: &RequestContext,
    ) -> Result<W::Output, W::Refusal> {
        let _timer = context.time_database();
        self.one_statement(work, context.deadline(), || context.count_attempt())
            .await
    }

    /// Runs one statement that is whole by itself and may be repeated: a read, or a change that does no harm twice.
    /// For work that serves several requests or none.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn one_statement<W: UnitOfWork>(
        &self,
        work: &W,
        deadline: Deadline,
        count_attempt: impl Fn(),
    ) -> Result<W::Output, W::Refusal> {
        let after = AfterCommit::default();
        let result = self.retried(deadline, || {
            count_attempt();
            traced::<W, _>(self.read_once(work, &after, deadline))
        });
        let result = result.await;
        after.run(Ended::of_statement(&result)).await;
        result.map_err(TransactionError::into_refusal)
    }

    /// Runs a transaction to its end, even when the caller hangs up: it is a commit section.
    /// Serialization failures, deadlocks and connections lost before COMMIT repeat it as a whole.
    ///
    /// # Errors
    /// The work's own refusal, or a [`Fault`] converted into it; [`Fault::OutcomeUnknown`] when the
    /// connection was lost after COMMIT was sent.
    ///
    /// # Panics
    /// When the work panics.
    pub async fn transaction<W: UnitOfWork + 'static>(
        &self,
        work: W,
        context: &RequestContext,
    ) -> Result<W::Output, W::Refusal> {
        let timer = context.time_database();
        let (database, context, request_span) = (self.clone(), context.clone(), context.span());
        let (send, receive) = oneshot::channel();
        let section = async move {
            let (began, deadline, after) = (Instant::now(), context.deadline(), AfterCommit::default());
            let result = database.retried(deadline, || {
                context.count_attempt();
                traced::<W, _>(database.transaction_once(&work, &after, deadline))
            });
            let result = result.await;
            let took = began.elapsed();
            after.run(Ended::of(&result)).await;
            if let Err(TransactionError::Failed(fault)) = &result
                && send.is_closed()
            {
                log_unheard(W::NAME, fault);
            }
            // The caller may have hung up: then no one receives it.
            let _ = send.send((result.map_err(TransactionError::into_refusal), took));
        };
        let section = self.lifecycle.commit_section(section.instrument(request_span));
        match receive.await {
            Ok((result, took)) => {
                timer.stopped_after(took);
                result
            }
            Err(lost) => match section.await {
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                _ => Err(Fault::OutcomeUnknown(Arc::new(lost).into()).into()),
            },
        }
    }

    /// As [`transaction`](Self::transaction), for work of an operator: it ends when it is dropped.
    ///
    /// # Errors
    /// As [`transaction`](Self::transaction).
    pub async fn transaction_until<W: UnitOfWork>(
        &self,
        work: &W,
        deadline: Deadline,
    ) -> Result<W::Output, W::Refusal> {
        let after = AfterCommit::default();
        let result = self.retried(deadline, || {
            traced::<W, _>(self.transaction_once(work, &after, deadline))
        });
        let result = result.await;
        after.run(Ended::of(&result)).await;
        result.map_err(TransactionError::into_refusal)
    }

    async fn retried<T, R, F>(
        &self,
        deadline: Deadline,
        attempt: impl FnMut() -> F,
    ) -> Result<T, TransactionError<R>>
    where
        F: Future<Output = Result<T, TransactionError<R>>>,
    {
        let on_event = |event| match event {
            RetryEvent::Retrying(reason) => self.retries.attempt("postgres", reason),
            RetryEvent::BudgetExhausted => self.retries.budget_exhausted("postgres"),
        };
        self.retry
            .run(deadline, TransactionError::transient, on_event, attempt)
            .await
    }

    async fn read_once<W: UnitOfWork>(
        &self,
        work: &W,
        after: &AfterCommit,
        deadline: Deadline,
    ) -> Result<W::Output, TransactionError<W::Refusal>> {
        after.clear();
        let acquired = self.pool.acquire(deadline).await;
        let mut session = acquired.map_err(TransactionError::Failed)?;
        let mut transaction = Transaction::new(session.connection(), after);
        let result = deadline.bound(work.run(&mut transaction)).await;
        session.settle(result)
    }

    async fn transaction_once<W: UnitOfWork>(
        &self,
        work: &W,
        after: &AfterCommit,
        deadline: Deadline,
    ) -> Result<W::Output, TransactionError<W::Refusal>> {
        after.clear();
        let acquired = self.pool.acquire(deadline).await;
        let mut session = acquired.map_err(TransactionError::Failed)?;
        session.begin(deadline).await.map_err(TransactionError::Failed)?;
        let mut transaction = Transaction::new(session.connection(), after);
        let result = deadline.bound(work.run(&mut transaction)).await;
        match session.settle(result) {
            Ok(output) => session
                .commit(deadline)
                .await
                .map(|()| output)
                .map_err(TransactionError::Failed),
            Err(attempt) => {
                session.roll_back(deadline).await;
                Err(attempt)
            }
        }
    }

    /// Whether the database answers, within `limit`.
    ///
    /// # Errors
    /// What stood in the way.
    pub async fn ping(&self, limit: Duration) -> Result<(), Fault> {
        struct Ping;
        impl UnitOfWork for Ping {
            const NAME: &'static str = "ping";
            type Output = ();
            type Refusal = Fault;
            async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<Fault>> {
                sqlx::query("/* ping */ SELECT 1")
                    .execute(&mut **transaction)
                    .await?;
                Ok(())
            }
        }
        let after = AfterCommit::default();
        let pinged = self.read_once(&Ping, &after, Deadline::after(limit)).await;
        pinged.map_err(TransactionError::into_refusal)
    }

    /// Closes the pool: connections in use are closed as they come back.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Brings the pool's gauges up to date, under this name.
    pub fn update_metrics(&self, name: &'static str) {
        self.pool.update_metrics(name);
    }
}

/// A fault that no answer tells of any more.
fn log_unheard(operation: &str, fault: &Fault) {
    let problem = fault.clone().into_problem();
    let (code, cause) = (problem.problem_type.code, problem.cause_chain());
    tracing::error!(
        operation,
        problem = code,
        cause,
        "failed after its caller had hung up"
    );
}

/// A span for each attempt. A refusal is an answer; a fault is an error.
async fn traced<W: UnitOfWork, T>(
    attempt: impl Future<Output = Result<T, TransactionError<W::Refusal>>>,
) -> Result<T, TransactionError<W::Refusal>> {
    let span = client_span!(
        "postgres",
        otel.name = W::NAME,
        db.system.name = "postgresql",
        db.operation.name = W::NAME,
    );
    let result = attempt.instrument(span.clone()).await;
    if let Err(TransactionError::Failed(fault)) = &result {
        telemetry::failed(&span, fault.problem_type().code);
    }
    result
}
