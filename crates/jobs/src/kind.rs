//! A kind of job without its type: how it is declared, and bound to the state that it works with.

use std::{fmt, sync::Arc, time::Duration};

use database::{Database, Transaction};
use futures_util::{FutureExt, future::BoxFuture};
use runtime::RequestContext;
use serde_json::Value;
use uuid::Uuid;

use super::{Job, JobError, payloads};

/// One attempt at a job.
#[derive(Debug)]
pub struct Run<S> {
    /// The job's id, the same for every attempt.
    pub id: Uuid,
    /// The attempt's number, from 1.
    pub attempt: i32,
    /// Whose job it is; none for those of the service itself.
    pub subject: Option<String>,
    /// Identity and deadline, as a request has them.
    pub context: RequestContext,
    /// The database, over the connections of the worker.
    pub database: Database,
    /// The state of the service.
    pub state: Arc<S>,
}

type Commit = Box<dyn for<'c> Fn(&'c mut Transaction<'_>) -> BoxFuture<'c, sqlx::Result<()>> + Send + Sync>;

/// The work is done; its effect in Postgres is not committed yet.
pub(crate) struct Done {
    pub(crate) result: Value,
    pub(crate) commit: Commit,
}

type Executed = BoxFuture<'static, Result<Done, JobError>>;

/// A kind of job of a service whose state is `S`.
pub struct JobKind<S: 'static> {
    pub(crate) name: &'static str,
    timeout: Duration,
    /// One run per so much time, enqueued by the workers themselves.
    pub(crate) every: Option<Duration>,
    execute: fn(Value, Run<S>) -> Executed,
    attempts: i32,
    pub(crate) samples: fn() -> Vec<Value>,
    pub(crate) reads: fn(Value) -> Result<(), String>,
}

impl<S> fmt::Debug for JobKind<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobKind")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<S: Send + Sync + 'static> JobKind<S> {
    /// Jobs of this type.
    pub const fn of<J: Job<State = S>>() -> Self {
        Self {
            name: J::KIND,
            timeout: J::TIMEOUT,
            every: None,
            execute: execute::<J>,
            attempts: J::ATTEMPTS,
            samples: payloads::samples::<J>,
            reads: payloads::reads::<J>,
        }
    }

    /// One run in each period, whatever the number of workers; the payload is `{}`.
    pub const fn every(mut self, period: Duration) -> Self {
        self.every = Some(period);
        self
    }

    /// This kind, working with `state`.
    pub fn bind(&self, state: Arc<S>) -> BoundKind {
        let execute = self.execute;
        BoundKind {
            name: self.name,
            timeout: self.timeout,
            every: self.every,
            attempts: self.attempts,
            execute: Arc::new(move |payload, run| execute(payload, run.with_state(state.clone()))),
        }
    }
}

impl Run<()> {
    fn with_state<S>(self, state: Arc<S>) -> Run<S> {
        Run {
            id: self.id,
            attempt: self.attempt,
            subject: self.subject,
            context: self.context,
            database: self.database,
            state,
        }
    }
}

type Execute = Arc<dyn Fn(Value, Run<()>) -> Executed + Send + Sync>;

/// A kind of job with the state that it works with: what a worker takes.
#[derive(Clone)]
pub struct BoundKind {
    pub(crate) name: &'static str,
    pub(crate) timeout: Duration,
    pub(crate) every: Option<Duration>,
    pub(crate) attempts: i32,
    pub(crate) execute: Execute,
}

impl fmt::Debug for BoundKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundKind")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl BoundKind {
    /// The name of the kind, as in the database and in metrics.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

fn execute<J: Job>(payload: Value, run: Run<J::State>) -> Executed {
    async move {
        // A payload of a newer version waits for a worker that understands it.
        let job: J = payloads::read(payload).map_err(JobError::retry)?;
        let outcome = job.run(&run).await?;
        let result = serde_json::to_value(&outcome).map_err(JobError::retry)?;
        let shared = Arc::new((job, outcome));
        let commit: Commit = Box::new(move |transaction| {
            let shared = shared.clone();
            async move { shared.0.commit(&shared.1, transaction).await }.boxed()
        });
        Ok(Done { result, commit })
    }
    .boxed()
}
