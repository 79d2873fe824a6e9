//! From a claimed run to the recorded end of the attempt.

use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

use database::Database;
use runtime::RequestContext;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{
    BoundKind, JobError, JobMetrics, Run,
    attempt_outcome::Outcome,
    claim::Claimed,
    endings::Unrecorded,
    kind::{Done, Executed, Failure},
    pause::Resume,
    recording::RECORDING,
    run::Controls,
};

/// An aborted task that is still there after this time does not yield.
const ABORT_LIMIT: Duration = Duration::from_secs(1);

/// What every attempt of a worker needs.
#[derive(Clone, Debug)]
pub(crate) struct Attempts {
    pub(crate) database: Database,
    pub(crate) metrics: JobMetrics,
    /// The runtime of the jobs themselves.
    pub(crate) jobs: Handle,
    /// The process is shutting down, and jobs that have not ended by now are aborted and handed back.
    pub(crate) handing_back: CancellationToken,
    /// The process exits soon: jobs that could not be aborted are handed back, too.
    pub(crate) exiting: CancellationToken,
    /// A job does not yield and cannot be aborted: the process has to end.
    pub(crate) stuck: CancellationToken,
}

/// How the work of an attempt ended.
pub(crate) enum Ended {
    Done(Done),
    Failed(JobError),
    Unreadable(String),
    Cancelled,
    HandedBack,
    /// The lease has expired; another worker has the run.
    Lost,
    /// The job was aborted and does not yield.
    Stuck(&'static str),
}

impl Attempts {
    /// Executes a claimed run and records how it ended.
    pub(crate) async fn execute(&self, claimed: Claimed, kind: BoundKind, controls: Arc<Controls>) {
        let span = span_of(&claimed);
        self.attempt(claimed, &kind, controls).instrument(span).await;
    }

    async fn attempt(&self, claimed: Claimed, kind: &BoundKind, controls: Arc<Controls>) {
        let (began, name) = (Instant::now(), kind.name());
        let (id, attempt) = (claimed.id, claimed.attempt);
        self.metrics.started(name);
        let context = context_of(&claimed, kind.timeout());
        let ended = self.work(&claimed, kind, &context, controls).await;
        let stuck = matches!(ended, Ended::Stuck(_));
        let time_left = kind.timeout().saturating_sub(began.elapsed());
        let (outcome, recorded) = self.record(&claimed, kind, ended, time_left).await;
        let outcome = match recorded {
            Ok(()) => outcome,
            Err(Unrecorded::Fenced) => Outcome::Fenced,
            Err(Unrecorded::Refused(_) | Unrecorded::Database(_)) => Outcome::Unpersisted,
        };
        if claimed.is_probe && outcome.has_reached_dependencies() {
            let resume = Resume { kind: name };
            let context = context_of(&claimed, RECORDING);
            if let Err(error) = self.database.transaction(resume, &context).await {
                tracing::warn!(job = name, %error, "the kind was not resumed; the next probe will");
            }
        }
        self.metrics.finished(name, outcome, began.elapsed());
        let span = tracing::Span::current();
        span.record("outcome", outcome.name());
        if outcome.is_error() {
            telemetry::failed(&span, outcome.name());
        }
        let outcome = outcome.name();
        tracing::info!(job = name, run = %id, attempt, outcome, duration_ms = began.elapsed().as_secs_f64() * 1e3, about = context.about(), "job ended");
        if stuck {
            self.stuck.cancel();
        }
    }

    /// Runs the job until it ends or has to.
    async fn work(
        &self,
        claimed: &Claimed,
        kind: &BoundKind,
        context: &RequestContext,
        controls: Arc<Controls>,
    ) -> Ended {
        // It may have waited for its turn.
        if controls.lost.is_cancelled() {
            return Ended::Lost;
        }
        if self.handing_back.is_cancelled() {
            return Ended::HandedBack;
        }
        let run = Run {
            id: claimed.id,
            attempt: claimed.attempt,
            subject: claimed.subject.clone(),
            context: context.clone(),
            database: self.database.clone(),
            state: Arc::default(),
            controls: controls.clone(),
        };
        let work: Executed = (kind.execute)(claimed.payload.clone(), run);
        // Aborted if this future is dropped: no attempt continues without its worker.
        let mut task = AbortOnDropHandle::new(self.jobs.spawn(work.in_current_span()));
        let timeout = kind.timeout();
        let cancelled = async {
            controls.cancelled.cancelled().await;
            tokio::time::sleep(kind.properties.cancel_grace).await;
        };
        let ended = tokio::select! {
            joined = &mut task => return match joined {
                Ok(Ok(done)) => Ended::Done(done),
                Ok(Err(_)) if controls.cancelled.is_cancelled() => Ended::Cancelled,
                Ok(Err(Failure::Job(error))) => Ended::Failed(error),
                Ok(Err(Failure::Unreadable(error))) => Ended::Unreadable(error),
                Err(error) => Ended::Failed(JobError::retry(panic_of(error))),
            },
            () = tokio::time::sleep(timeout) => {
                Ended::Failed(JobError::retry(format!("timed out after {timeout:?}")))
            }
            () = cancelled => Ended::Cancelled,
            () = controls.lost.cancelled() => Ended::Lost,
            () = self.handing_back.cancelled() => Ended::HandedBack,
        };
        task.abort();
        if let Ok(joined) = tokio::time::timeout(ABORT_LIMIT, &mut task).await {
            // The job may have ended by itself just before.
            return match joined {
                Ok(Ok(done)) if !matches!(ended, Ended::Lost) => Ended::Done(done),
                _ => ended,
            };
        }
        if matches!(ended, Ended::HandedBack) {
            // The process exits anyway, and until then the job may end by itself.
            return match self.exiting.run_until_cancelled(&mut task).await {
                Some(Ok(Ok(done))) => Ended::Done(done),
                _ => Ended::HandedBack,
            };
        }
        tracing::error!(job = kind.name(), run = %claimed.id, "the job does not yield and cannot be aborted");
        Ended::Stuck(
            "the job does not yield and cannot be aborted: use spawn_blocking for work that computes",
        )
    }
}

fn panic_of(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => panic_text(&*panic),
        Err(error) => error.to_string(),
    }
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.unwrap_or_else(|| "(no message)".to_owned()))
}

pub(crate) fn context_of(claimed: &Claimed, limit: Duration) -> RequestContext {
    let span = tracing::Span::current();
    let trace_id = telemetry::trace_id(&span);
    let request_id = claimed.request_id.clone();
    RequestContext::new(
        request_id.unwrap_or_else(|| claimed.id.to_string()),
        trace_id,
        span,
        limit,
    )
}

/// A trace of its own, linked to the request that enqueued the job.
fn span_of(claimed: &Claimed) -> tracing::Span {
    let span = tracing::info_span!(
        parent: None,
        "job",
        otel.name = format!("job {}", claimed.kind),
        otel.kind = "consumer",
        job = claimed.kind,
        run = %claimed.id,
        attempt = claimed.attempt,
        request_id = claimed.request_id,
        trace_id = tracing::field::Empty,
        outcome = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
        error.type = tracing::field::Empty,
    );
    if let Some(enqueuer) = claimed.traceparent.as_deref().and_then(telemetry::span_context) {
        span.add_link(enqueuer);
    }
    span.record("trace_id", telemetry::trace_id(&span));
    span
}
