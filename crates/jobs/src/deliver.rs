//! From a delivery to the end of an attempt: one wrapper for all jobs.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use database::{Database, DatabaseError};
use futures_util::FutureExt;
use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use outcome::{Cause, Refusal};
use resilience::Deadline;
use runtime::RequestContext;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

use super::{
    BoundKind, JobError, JobMetrics, Run,
    attempt::{End, Found, PutBack, Start, Started, Succeed, Unfinished},
    kind::Done,
};

/// Time for the statements around an attempt.
const BOOKKEEPING: Duration = Duration::from_secs(5);
/// A task that is still there so long after it was aborted never yields: it has taken a thread for good.
const ABORT_LIMIT: Duration = Duration::from_secs(1);
/// The first wait after a failure is random up to twice this, each further one up to twice as much.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_mins(15);
/// Characters of an error that are kept.
const LONGEST_ERROR: usize = 2_000;
/// The metrics' word for a kind that is not built in.
const UNKNOWN: &str = "unknown";
/// `EX_SOFTWARE` (sysexits.h): whoever supervises the process starts it again.
const EX_SOFTWARE: i32 = 70;

/// What every delivery needs.
#[derive(Clone)]
pub(super) struct Deliveries {
    pub(super) database: Database,
    pub(super) kinds: Arc<[BoundKind]>,
    pub(super) metrics: JobMetrics,
    /// Time for jobs to end during a graceful shutdown.
    pub(super) drain: Duration,
    /// Where the jobs themselves run.
    pub(super) jobs: Handle,
    pub(super) leaving: CancellationToken,
}

impl std::fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deliveries").finish_non_exhaustive()
    }
}

/// The library's job: any JSON, since a payload that it cannot read would never reach us.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Delivery(Value);

#[derive(Deserialize)]
struct Named {
    run: Uuid,
    delivery: Uuid,
}

impl TaskHandler for Delivery {
    const IDENTIFIER: &'static str = "run";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let deliveries = context
            .get_ext::<Deliveries>()
            .expect("set by the worker")
            .clone();
        // One that names no run was not made by us; there is nothing to do for it.
        let Ok(named) = serde_json::from_value::<Named>(self.0) else {
            return Ok(());
        };
        deliveries.deliver(named).await
    }
}

enum Ended {
    Done(Done),
    Failed(JobError),
    Terminating,
}

enum Recorded {
    As(&'static str, Result<(), Unfinished>),
    Not(JobError),
}

impl Deliveries {
    /// `Ok` lets the library forget the delivery, `Err` makes it deliver again.
    async fn deliver(&self, named: Named) -> Result<(), String> {
        let start = Start {
            id: named.run,
            delivery: named.delivery,
        };
        // A start that is counted twice, since its answer was lost, costs the job an attempt and nothing else.
        let started = self
            .database
            .run_idempotent(&start, Deadline::after(BOOKKEEPING), || ())
            .await;
        let started = started.map_err(|fault| fault.problem_type().code.to_owned())?;
        let started = match started {
            Found::Started(started) => started,
            Found::Dead { kind, attempt } => {
                let name = self.kind(&kind).map_or(UNKNOWN, |kind| kind.name);
                tracing::error!(job = kind, run = %named.run, attempt, "job is dead: its last attempt never reported a result");
                self.metrics.buried(name);
                return Ok(());
            }
            Found::Nothing => return Ok(()),
        };
        let kind = self.kind(&started.kind);
        let span = span_of(&started);
        self.attempt(started, kind).instrument(span).await
    }

    fn kind(&self, name: &str) -> Option<BoundKind> {
        self.kinds.iter().find(|kind| kind.name == name).cloned()
    }

    async fn attempt(&self, started: Started, kind: Option<BoundKind>) -> Result<(), String> {
        let began = Instant::now();
        let metrics = &self.metrics;
        let name = kind.as_ref().map_or(UNKNOWN, |kind| kind.name);
        metrics.started(name);
        let limit = kind.as_ref().map_or(BOOKKEEPING, |kind| kind.timeout);
        let of_the_work = context_of(&started, limit);
        let ended = match &kind {
            Some(kind) => self.execute(&started, kind, of_the_work.clone()).await,
            // Of a newer release: another worker may know it.
            None => Ended::Failed(JobError::retry(format!("no job of kind {} here", started.kind))),
        };
        let (id, attempt) = (started.id, started.attempt);
        let database = &self.database;
        let ended = match ended {
            Ended::Done(done) => {
                // The effect has the time that the attempt has left.
                let left = kind.as_ref().map_or(Duration::ZERO, |kind| {
                    kind.timeout.saturating_sub(began.elapsed())
                });
                let context = context_of(&started, left + BOOKKEEPING);
                let succeed = database.transaction(Succeed { id, attempt, done }, &context);
                match AssertUnwindSafe(succeed).catch_unwind().await {
                    Err(panic) => Recorded::Not(JobError::retry(panic_text(&*panic))),
                    // The effect itself was refused by the database: that is how this attempt ended.
                    Ok(Err(Unfinished::DatabaseError(fault)))
                        if !matches!(fault, DatabaseError::OutcomeUnknown(_)) =>
                    {
                        Recorded::Not(JobError::retry(fault.into_cause()))
                    }
                    Ok(recorded) => Recorded::As("succeeded", recorded),
                }
            }
            Ended::Terminating => {
                let context = context_of(&started, BOOKKEEPING);
                let put_back = self.put_back(&started, Duration::ZERO, None, &context);
                Recorded::As("released", put_back.await)
            }
            Ended::Failed(failure) => Recorded::Not(failure),
        };
        let context = context_of(&started, BOOKKEEPING);
        let (outcome, recorded) = match ended {
            Recorded::As(outcome, recorded) => (outcome, recorded),
            Recorded::Not(JobError::Later(wait, cause)) => {
                let wait = wait.max(FIRST_BACKOFF);
                let wait = wait + wait.min(LONGEST_BACKOFF).mul_f64(fastrand::f64());
                tracing::info!(job = name, run = %id, attempt, cause = chain(&cause), ?wait, "not now");
                ("postponed", self.put_back(&started, wait, None, &context).await)
            }
            Recorded::Not(JobError::Fail(problem, cause)) => {
                let (code, error) = (problem.code, chain(&cause));
                tracing::warn!(job = name, run = %id, attempt, problem = code, error, "job failed permanently");
                let problem = Some(problem);
                let end = End {
                    id,
                    attempt,
                    problem,
                    error,
                };
                ("failed", database.transaction(end, &context).await)
            }
            Recorded::Not(JobError::Retry(cause)) if attempt >= started.attempts_allowed => {
                let error = chain(&cause);
                tracing::error!(job = name, run = %id, attempt, error, "job is dead: no attempts left");
                let end = End {
                    id,
                    attempt,
                    problem: None,
                    error,
                };
                ("dead", database.transaction(end, &context).await)
            }
            Recorded::Not(JobError::Retry(cause)) => {
                let (delay, error) = (backoff(attempt), chain(&cause));
                tracing::warn!(job = name, run = %id, attempt, error, ?delay, "job failed; retrying");
                (
                    "retried",
                    self.put_back(&started, delay, Some(error), &context).await,
                )
            }
        };
        let outcome = match &recorded {
            Ok(()) => outcome,
            Err(Unfinished::Fenced) => "fenced",
            Err(Unfinished::DatabaseError(_)) => "unpersisted",
        };
        metrics.finished(name, outcome, began.elapsed());
        let span = tracing::Span::current();
        span.record("outcome", outcome);
        if !["succeeded", "released", "postponed"].contains(&outcome) {
            telemetry::failed(&span, outcome);
        }
        tracing::info!(job = name, run = %id, attempt, outcome, duration_ms = began.elapsed().as_secs_f64() * 1e3, about = of_the_work.about(), "job ended");
        // Fenced: another attempt has the row now, and the library's word for this one must not delete its delivery.
        recorded.map_err(|_| outcome.to_owned())
    }

    /// A job that has begun may still end by itself when the process is told to leave; half of the drain is for that.
    async fn out_of_time_to_leave(&self) {
        self.leaving.cancelled().await;
        tokio::time::sleep(self.drain / 2).await;
    }

    async fn put_back(
        &self,
        started: &Started,
        delay: Duration,
        error: Option<String>,
        context: &RequestContext,
    ) -> Result<(), Unfinished> {
        let (id, attempt) = (started.id, started.attempt);
        let put_back = PutBack {
            id,
            attempt,
            delay,
            error,
        };
        self.database.transaction(put_back, context).await
    }

    async fn execute(&self, started: &Started, kind: &BoundKind, context: RequestContext) -> Ended {
        let run = Run {
            id: started.id,
            attempt: started.attempt,
            subject: started.subject.clone(),
            context,
            database: self.database.clone(),
            state: Arc::default(),
        };
        let work = (kind.execute)(started.payload.clone(), run).in_current_span();
        // Dropped with the delivery: what nobody waits for any more must not go on beside the next attempt.
        let mut task = AbortOnDropHandle::new(self.jobs.spawn(work));
        let ended = tokio::select! {
            joined = &mut task => return match joined {
                Ok(Ok(done)) => Ended::Done(done),
                Ok(Err(failure)) => Ended::Failed(failure),
                Err(error) => Ended::Failed(JobError::retry(panic_of(error))),
            },
            () = tokio::time::sleep(kind.timeout) => {
                Ended::Failed(JobError::retry(format!("no end after {:?}", kind.timeout)))
            }
            () = self.out_of_time_to_leave() => Ended::Terminating,
        };
        abort(task, kind.name).await;
        ended
    }
}

/// Ends a task. One that does not yield cannot be ended, and would take a thread for good: then the process goes,
/// and the lease brings its jobs back.
async fn abort(task: AbortOnDropHandle<Result<Done, JobError>>, job: &str) {
    task.abort();
    if tokio::time::timeout(ABORT_LIMIT, task).await.is_err() {
        tracing::error!(job, "job does not yield and cannot be aborted; exiting");
        #[expect(
            clippy::disallowed_methods,
            reason = "nothing else ends a task that does not yield"
        )]
        std::process::exit(EX_SOFTWARE);
    }
}

fn panic_of(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => panic_text(&*panic),
        Err(error) => error.to_string(),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.unwrap_or_else(|| "(no message)".to_owned()))
}

fn context_of(started: &Started, limit: Duration) -> RequestContext {
    let span = tracing::Span::current();
    let trace_id = telemetry::trace_id(&span);
    let request_id = started
        .request_id
        .clone()
        .unwrap_or_else(|| started.id.to_string());
    RequestContext::new(request_id, trace_id, span, limit)
}

/// A trace of its own, linked to the request that asked for the job.
fn span_of(started: &Started) -> tracing::Span {
    let span = tracing::info_span!(
        parent: None,
        "job",
        otel.name = format!("job {}", started.kind),
        otel.kind = "consumer",
        job = started.kind,
        run = %started.id,
        attempt = started.attempt,
        request_id = started.request_id,
        trace_id = tracing::field::Empty,
        outcome = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
        error.type = tracing::field::Empty,
    );
    if let Some(enqueuer) = started.traceparent.as_deref().and_then(telemetry::span_context) {
        span.add_link(enqueuer);
    }
    span.record("trace_id", telemetry::trace_id(&span));
    span
}

/// Full jitter, so that what failed together does not come back together.
fn backoff(attempt: i32) -> Duration {
    let ceiling = FIRST_BACKOFF * 2u32.saturating_pow(attempt.clamp(0, 20).unsigned_abs());
    ceiling.min(LONGEST_BACKOFF).mul_f64(fastrand::f64())
}

/// The error and what is behind it, outermost first.
fn chain(cause: &Cause) -> String {
    let mut error: &dyn std::error::Error = cause.as_ref();
    let mut text = error.to_string();
    while let Some(source) = error.source() {
        text.push_str(": ");
        text.push_str(&source.to_string());
        error = source;
    }
    // Postgres text has no U+0000, and nobody reads more than this.
    text.retain(|character| character != '\0');
    text.chars().take(LONGEST_ERROR).collect()
}
