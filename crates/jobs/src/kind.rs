//! A kind of job without its type: how it is declared, and bound to the state that it works with.

use std::{fmt, sync::Arc, time::Duration};

use database::{Transaction, TransactionError};
use futures_util::{FutureExt, future::BoxFuture};
use serde_json::Value;

use crate::{
    Job, JobError, Priority, Run, payloads,
    schedule::{Occurrences, Schedule},
};

/// The properties of a kind that do not depend on its types.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Properties {
    pub(crate) name: &'static str,
    pub(crate) timeout: Duration,
    pub(crate) retry_for: Duration,
    pub(crate) priority: Priority,
    pub(crate) concurrency: usize,
    pub(crate) cancel_grace: Duration,
    pub(crate) schedule: Option<Schedule>,
}

/// A kind of job of a service whose state is `S`.
pub struct JobKind<S: 'static> {
    pub(crate) properties: Properties,
    execute: fn(Value, Run<S>) -> Executed,
    pub(crate) samples: fn() -> Vec<Value>,
    pub(crate) reads: fn(Value) -> Result<(), String>,
}

impl<S> fmt::Debug for JobKind<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobKind")
            .field("properties", &self.properties)
            .finish_non_exhaustive()
    }
}

impl<S: Send + Sync + 'static> JobKind<S> {
    /// The jobs of type `J`.
    pub const fn of<J: Job<State = S>>() -> Self {
        Self {
            properties: Properties {
                name: J::KIND,
                timeout: J::TIMEOUT,
                retry_for: J::RETRY_FOR,
                priority: J::PRIORITY,
                concurrency: J::CONCURRENCY,
                cancel_grace: J::CANCEL_GRACE,
                schedule: None,
            },
            execute: execute::<J>,
            samples: payloads::samples::<J>,
            reads: payloads::reads::<J>,
        }
    }

    /// Adds a schedule: one run in each period, whatever the number of workers, with the payload `{}`. Periods are whole
    /// seconds counted from the Unix epoch; schedules are checked every 5 s, so shorter periods are skipped. A new schedule
    /// has a run in the current period. A period has no run if the last one has not ended. A period of less than one second
    /// is an error at startup.
    pub const fn every(mut self, period: Duration) -> Self {
        self.properties.schedule = Some(Schedule::Every(period));
        self
    }

    /// Adds a schedule: one run at each occurrence of this cron pattern in this time zone, such as `"30 3 * * *"` in
    /// `"Europe/Berlin"`, whatever the number of workers, with the payload `{}`. A new schedule begins with its next
    /// occurrence. If the last run has not ended, an occurrence is skipped; of several that were missed, only the latest
    /// has its run. A time that daylight saving skips or repeats occurs once. A pattern or zone that does not exist is an error
    /// at startup.
    pub const fn cron(mut self, pattern: &'static str, zone: &'static str) -> Self {
        self.properties.schedule = Some(Schedule::Cron { pattern, zone });
        self
    }

    /// Binds this kind to the state that its jobs work with.
    ///
    /// # Errors
    /// When the schedule cannot be parsed.
    pub fn bind(&self, state: Arc<S>) -> anyhow::Result<BoundKind> {
        let execute = self.execute;
        let schedule = self.properties.schedule.map(Schedule::parse).transpose();
        let schedule =
            schedule.map_err(|error| error.context(format!("the schedule of {}", self.properties.name)))?;
        Ok(BoundKind {
            properties: self.properties,
            schedule,
            execute: Arc::new(move |payload, run| execute(payload, run.with_state(state.clone()))),
        })
    }
}

type Execute = Arc<dyn Fn(Value, Run<()>) -> Executed + Send + Sync>;

/// A kind of job with the state that its jobs work with.
#[derive(Clone)]
pub struct BoundKind {
    pub(crate) properties: Properties,
    pub(crate) schedule: Option<Occurrences>,
    pub(crate) execute: Execute,
}

impl fmt::Debug for BoundKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundKind")
            .field("properties", &self.properties)
            .finish_non_exhaustive()
    }
}

impl BoundKind {
    /// The name of the kind, as in the database and in metrics.
    pub fn name(&self) -> &'static str {
        self.properties.name
    }

    /// The time limit of one attempt.
    pub fn timeout(&self) -> Duration {
        self.properties.timeout
    }
}

type Commit = Box<
    dyn for<'c> Fn(&'c mut Transaction<'_>) -> BoxFuture<'c, Result<(), TransactionError<JobError>>>
        + Send
        + Sync,
>;

/// Completed work whose effect in Postgres is not committed yet.
pub(crate) struct Done {
    pub(crate) result: Value,
    pub(crate) commit: Commit,
}

/// Why an attempt produced nothing to commit.
pub(crate) enum Failure {
    /// The payload was enqueued by another release, whose shape this one does not know.
    Unreadable(String),
    Job(JobError),
}

pub(crate) type Executed = BoxFuture<'static, Result<Done, Failure>>;

fn execute<J: Job>(payload: Value, run: Run<J::State>) -> Executed {
    async move {
        let job: J = payloads::read(payload).map_err(Failure::Unreadable)?;
        let outcome = job.run(&run).await.map_err(Failure::Job)?;
        let result = serde_json::to_value(&outcome).map_err(|error| Failure::Job(JobError::retry(error)))?;
        let shared = Arc::new((job, outcome));
        let commit: Commit = Box::new(move |transaction| {
            let shared = shared.clone();
            async move { shared.0.commit(&shared.1, transaction).await }.boxed()
        });
        Ok(Done { result, commit })
    }
    .boxed()
}
