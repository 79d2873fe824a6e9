//! Postgres: a pool that never reuses a connection in an unknown state, transactions that are retried as a whole and
//! survive a client that disconnects, and a [`DatabaseError`] with a problem type for every failure.

mod error;
mod grants;
pub mod idempotency;
mod metrics;
mod migrations;
mod notifications;
mod pool;
mod schema;
mod server;
mod session;
mod session_check;
mod settings;
mod transaction;
mod unique_violation;
mod unit_of_work;

pub use self::settings::{IdempotencySettings, Settings};
pub use error::DatabaseError;
pub use metrics::PoolMetrics;
pub use migrations::MigrationSet;
pub use pool::connect_options;
pub use schema::{Schema, SchemaState, TooOld};
pub use sqlx::postgres::PgConnectOptions as ConnectOptions;
pub use transaction::{CommitOutcome, Transaction};
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

use self::{notifications::Notifications, pool::ConnectionPool, transaction::AfterCommit};

static MIGRATOR: Migrator = sqlx::migrate!();

/// The migrations of this crate: the table of idempotency keys.
pub static MIGRATIONS: MigrationSet =
    MigrationSet::of_crate("_migrations_database", &MIGRATOR, &["idempotency_keys"]);

/// Access to Postgres for operations, with [`read`](Self::read) and [`transaction`](Self::transaction).
#[derive(Clone, Debug)]
pub struct Database {
    pool: ConnectionPool,
    notifications: Notifications,
    retry: RetryPolicy,
    lifecycle: Lifecycle,
    retries: RetryMetrics,
    local_statement_timeout: Option<Duration>,
}

impl Database {
    /// Access through a pool of at most `size` connections, opened on demand. `name` is their `application_name`, which
    /// `pg_stat_activity` shows.
    ///
    /// # Errors
    /// When `database.url` cannot be parsed.
    pub fn new(
        settings: &Settings,
        (name, size): (&str, usize),
        retry: RetryPolicy,
        lifecycle: Lifecycle,
        (metrics, retries): (PoolMetrics, RetryMetrics),
    ) -> anyhow::Result<Self> {
        retries.announce("postgres");
        let pool = ConnectionPool::new(settings, (name, size), lifecycle.runtime().clone(), metrics)?;
        Ok(Self {
            notifications: Notifications::new(pool.clone(), lifecycle.runtime().clone()),
            pool,
            retry,
            lifecycle,
            retries,
            local_statement_timeout: None,
        })
    }

    /// The same access with a `statement_timeout` of its own, which every unit of work sets for its transaction. For
    /// connections through a pooler, whose sessions have the timeouts of the role.
    #[must_use]
    pub fn with_local_statement_timeout(mut self, timeout: Duration) -> Self {
        self.local_statement_timeout = Some(timeout);
        self
    }

    /// Runs a read outside a transaction, with retries of transient errors.
    ///
    /// # Errors
    /// The work's own refusal, or a [`DatabaseError`] converted into it.
    pub async fn read<W: UnitOfWork>(
        &self,
        work: &W,
        context: &RequestContext,
    ) -> Result<W::Output, W::Refusal> {
        let _timer = context.time_database();
        self.run_idempotent(work, context.deadline(), || context.count_attempt())
            .await
    }

    /// Runs work outside a transaction that may safely run more than once: a read, or an idempotent change. For work
    /// that belongs to several requests or to none; `count_attempt` is called at each attempt.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn run_idempotent<W: UnitOfWork>(
        &self,
        work: &W,
        deadline: Deadline,
        count_attempt: impl Fn(),
    ) -> Result<W::Output, W::Refusal> {
        let after = AfterCommit::new(&self.notifications);
        let result = self.with_retries(deadline, || {
            count_attempt();
            traced::<W, _>(self.read_once(work, &after, deadline))
        });
        let result = result.await;
        after.run(CommitOutcome::of_statement(&result)).await;
        result.map_err(TransactionError::into_refusal)
    }

    /// Runs a transaction to completion, even if the client disconnects: the transaction is a critical section.
    /// After a serialization failure, a deadlock or a connection lost before COMMIT, the whole transaction is retried.
    ///
    /// # Errors
    /// The work's own refusal, or a [`DatabaseError`] converted into it; [`DatabaseError::OutcomeUnknown`] when the
    /// connection was lost, or the deadline passed, after COMMIT was sent.
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
            let (began, deadline) = (Instant::now(), context.deadline());
            let after = AfterCommit::new(&database.notifications);
            let result = database.with_retries(deadline, || {
                context.count_attempt();
                traced::<W, _>(database.transaction_once(&work, &after, deadline))
            });
            let result = result.await;
            let took = began.elapsed();
            after.run(CommitOutcome::of(&result)).await;
            if let Err(TransactionError::Failed(error)) = &result
                && send.is_closed()
            {
                log_after_disconnect(W::NAME, error);
            }
            // Fails if the client has disconnected: nothing receives the result.
            let _ = send.send((result.map_err(TransactionError::into_refusal), took));
        };
        let section = self.lifecycle.spawn_critical(section.instrument(request_span));
        match receive.await {
            Ok((result, took)) => {
                timer.stopped_after(took);
                result
            }
            Err(lost) => match section.await {
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                _ => Err(DatabaseError::OutcomeUnknown(Arc::new(lost).into()).into()),
            },
        }
    }

    /// Like [`transaction`](Self::transaction), for commands of an operator: dropping the future cancels the work.
    ///
    /// # Errors
    /// As [`transaction`](Self::transaction).
    pub async fn transaction_cancellable<W: UnitOfWork>(
        &self,
        work: &W,
        deadline: Deadline,
    ) -> Result<W::Output, W::Refusal> {
        let after = AfterCommit::new(&self.notifications);
        let result = self.with_retries(deadline, || {
            traced::<W, _>(self.transaction_once(work, &after, deadline))
        });
        let result = result.await;
        after.run(CommitOutcome::of(&result)).await;
        result.map_err(TransactionError::into_refusal)
    }

    async fn with_retries<T, R, F>(
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
        if self.local_statement_timeout.is_some() {
            return self.transaction_once(work, after, deadline).await;
        }
        after.clear();
        let acquired = self.pool.acquire(deadline).await;
        let mut session = acquired.map_err(TransactionError::Failed)?;
        let mut transaction = Transaction::new(session.connection(), after);
        let result = deadline.timeout(work.run(&mut transaction)).await;
        session.finish(result)
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
        let began = session.begin(deadline, self.local_statement_timeout).await;
        began.map_err(TransactionError::Failed)?;
        let mut transaction = Transaction::new(session.connection(), after);
        let result = deadline.timeout(work.run(&mut transaction)).await;
        match session.finish(result) {
            Ok(output) => session
                .commit(deadline)
                .await
                .map(|()| output)
                .map_err(TransactionError::Failed),
            Err(TransactionError::RefusedAndRecorded(refusal)) => {
                let committed = session.commit(deadline).await;
                committed.map_err(TransactionError::Failed)?;
                Err(TransactionError::RefusedAndRecorded(refusal))
            }
            Err(error) => {
                session.roll_back(deadline).await;
                Err(error)
            }
        }
    }

    /// Closes the pool. Connections in use are closed when they are returned.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Updates the gauges of the pool, labelled with `name`.
    pub fn update_metrics(&self, name: &'static str) {
        self.pool.update_metrics(name);
    }
}

/// Logs an error that no response can report because the client has disconnected.
fn log_after_disconnect(operation: &str, error: &DatabaseError) {
    let problem = error.clone().into_problem();
    let (code, cause) = (problem.problem_type.code, problem.cause_chain());
    tracing::error!(
        operation,
        problem = code,
        cause,
        "failed after its client had disconnected"
    );
}

/// Runs an attempt in a span of its own. A refusal is a result; only a database error marks the span as failed.
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
    if let Err(TransactionError::Failed(error)) = &result {
        telemetry::failed(&span, error.problem_type().code);
    }
    result
}
