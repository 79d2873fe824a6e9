//! Work that leaves the request. Our own row in `job_runs` is the truth; `graphile_worker` only delivers its id,
//! at least once. A job is enqueued in the caller's transaction, runs again until it succeeds or is out of
//! attempts, and its effect in Postgres commits together with its success.

mod attempt;
mod deliver;
mod housekeeping;
mod payloads;
mod queue;
mod store;
mod watched;
mod worker;

pub use payloads::{Payloads, payloads, unreadable};
pub use queue::{Queue, QueueRefusal, enqueue};
pub use store::{JobView, RunSummary, discard, find, list, retry, show};
pub use worker::Worker;

pub(crate) use housekeeping::HOUSEKEEPING;
pub(crate) use worker::{library_schema_is_current, migrate_library};

use std::{future::Future, time::Duration};

use actix_web::web::Data;
use futures_util::{FutureExt, future::BoxFuture};
use outcome::{Cause, ProblemType};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Platform, context::RequestContext};

/// A kind of work. The value is its payload: small, and readable by the releases before and after.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Names it in the database, metrics and logs; never changes.
    const KIND: &'static str;
    /// Starts allowed, the first included; then it is dead.
    const ATTEMPTS: i32 = 5;
    /// Time for one attempt.
    const TIMEOUT: Duration = Duration::from_secs(30);
    /// What it yields, kept as its result.
    type Outcome: Serialize + Send + Sync + 'static;

    /// What it may be queued with, every shape once: the releases before and after are asked whether they read it
    /// (`make test-compat`). Only a job that is queued by the clock alone, with `{}`, has none.
    fn samples() -> Vec<Self> {
        Vec::new()
    }

    /// Does the work. It may be done again after it was done: an effect outside Postgres carries
    /// [`Run::id`] as its key.
    fn run(&self, run: &Run) -> impl Future<Output = Result<Self::Outcome, JobFailure>> + Send;

    /// Its effect in Postgres, in the transaction that records the success. Never committed by an attempt
    /// that another one has replaced.
    fn commit(
        &self,
        _outcome: &Self::Outcome,
        _connection: &mut PgConnection,
    ) -> impl Future<Output = sqlx::Result<()>> + Send {
        std::future::ready(Ok(()))
    }
}

/// Why an attempt did not work out. Only this line knows whether trying again can help.
#[derive(Debug)]
pub enum JobFailure {
    /// It may work another time.
    Transient(Cause),
    /// It was not even tried: not before this time, and it costs no attempt.
    Later(Duration, Cause),
    /// It will never work: the run ends as `failed` with this problem.
    Permanent(&'static ProblemType, Cause),
}

impl<E: Into<Cause>> From<E> for JobFailure {
    fn from(error: E) -> Self {
        Self::Transient(error.into())
    }
}

/// One attempt at a job.
#[derive(Debug)]
pub struct Run {
    /// The job's id, the same for every attempt.
    pub id: Uuid,
    /// The attempt's number, from 1.
    pub attempt: i32,
    /// Whose job it is; none for those of the service itself.
    pub subject: Option<String>,
    /// Identity and deadline, as a request has them.
    pub context: RequestContext,
    /// What the service is made of.
    pub platform: Data<Platform>,
}

type Commit = Box<dyn for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<()>> + Send + Sync>;

/// The work is done; its effect in Postgres is not committed yet.
pub(crate) struct Done {
    result: Value,
    commit: Commit,
}

type Execute = fn(Value, Run) -> BoxFuture<'static, Result<Done, JobFailure>>;

/// A kind of job, without its type.
#[derive(Clone, Copy, Debug)]
pub struct JobKind {
    name: &'static str,
    timeout: Duration,
    /// One run per so much time, enqueued by the workers themselves.
    every: Option<Duration>,
    execute: Execute,
    attempts: i32,
    samples: fn() -> Vec<Value>,
    reads: fn(Value) -> Result<(), String>,
}

impl JobKind {
    /// Jobs of this type.
    pub const fn of<J: Job>() -> Self {
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

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// One run in each period, whatever the number of workers; the payload is `{}`.
    pub const fn every(mut self, period: Duration) -> Self {
        self.every = Some(period);
        self
    }
}

fn execute<J: Job>(payload: Value, run: Run) -> BoxFuture<'static, Result<Done, JobFailure>> {
    async move {
        // A payload of a newer version waits for a worker that understands it.
        let job: J = payloads::read(payload)?;
        let outcome = job.run(&run).await?;
        let result = serde_json::to_value(&outcome)?;
        let shared = std::sync::Arc::new((job, outcome));
        let commit: Commit = Box::new(move |connection| {
            let shared = shared.clone();
            async move { shared.0.commit(&shared.1, connection).await }.boxed()
        });
        Ok(Done { result, commit })
    }
    .boxed()
}
