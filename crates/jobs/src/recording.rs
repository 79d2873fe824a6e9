//! How the end of an attempt is recorded: as a success, a failure, a postponement or a crash.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use database::{DatabaseError, UnitOfWork};
use futures_util::FutureExt;
use outcome::Cause;

use crate::{
    BoundKind, JobError,
    attempt::{Attempts, Ended, context_of, panic_text},
    backoff::{self, LONGEST_WAIT},
    claim::Claimed,
    endings::{CountedAs, End, Fence, FinalStatus, PutBack, Succeed, Unrecorded},
    heartbeat::MAX_CRASHES,
    kind::Done,
    pause::Pause,
};

/// The time for the statements that record the end of an attempt, including the wait for a connection.
pub(crate) const RECORDING: Duration = Duration::from_secs(5);
/// The pause between two tries to record an end.
const RECORDING_PAUSE: Duration = Duration::from_millis(100);
/// The wait after a payload that cannot be read: a worker of a newer release may read it.
const UNREADABLE_WAIT: Duration = Duration::from_secs(10);
/// The wait of a paused kind after a probe that failed.
const PROBE_WAIT: Duration = Duration::from_secs(5);
/// The characters of an error that are stored.
const LONGEST_ERROR: usize = 2_000;

/// The outcome of an attempt as a metric label, and whether it was recorded.
type Recorded = (&'static str, Result<(), Unrecorded>);

impl Attempts {
    pub(crate) async fn record(
        &self,
        claimed: &Claimed,
        kind: &BoundKind,
        ended: Ended,
        time_left: Duration,
    ) -> Recorded {
        let (name, id, attempt) = (kind.name(), claimed.id, claimed.attempt);
        let fence = Fence::from(claimed);
        let put_back = |wait, counted_as, error| PutBack {
            fence,
            wait,
            counted_as,
            error,
        };
        let end = |status, error| End { fence, status, error };
        let error = match ended {
            Ended::Done(done) => match self.succeed(claimed, done, time_left).await {
                Ok(recorded) => return ("succeeded", recorded),
                Err(error) => error,
            },
            Ended::Failed(error) => error,
            Ended::Unreadable(error) => {
                tracing::error!(job = name, run = %id, error, "a payload cannot be read; it stays queued");
                let wait = backoff::after_postponement(claimed.postponements + 1, UNREADABLE_WAIT);
                let put_back = put_back(wait, CountedAs::Postponement, Some(error));
                return ("unreadable", self.persist(claimed, &put_back).await);
            }
            Ended::Cancelled => {
                let end = end(FinalStatus::Cancelled, "cancelled by an operator".to_owned());
                return ("cancelled", self.persist(claimed, &end).await);
            }
            Ended::HandedBack => {
                let put_back = put_back(Duration::ZERO, CountedAs::Nothing, None);
                return ("released", self.persist(claimed, &put_back).await);
            }
            Ended::Lost => return ("fenced", Err(Unrecorded::Fenced)),
            Ended::Stuck(error) if claimed.crashes + 1 >= MAX_CRASHES => {
                let end = end(FinalStatus::Dead, error.to_owned());
                return ("dead", self.persist(claimed, &end).await);
            }
            Ended::Stuck(error) => {
                let put_back = put_back(Duration::ZERO, CountedAs::Crash, Some(error.to_owned()));
                return ("crashed", self.persist(claimed, &put_back).await);
            }
        };
        match error {
            JobError::Postpone(wait, cause) => {
                let error = chain(&cause);
                let wait = backoff::after_postponement(claimed.postponements + 1, wait);
                tracing::info!(job = name, run = %id, attempt, cause = error, ?wait, "job postponed");
                let put_back = put_back(wait, CountedAs::Postponement, Some(error));
                ("postponed", self.persist(claimed, &put_back).await)
            }
            JobError::Unavailable(wait, cause) => {
                let reason = chain(&cause);
                tracing::info!(job = name, run = %id, attempt, cause = reason, ?wait, "job postponed and its kind paused: a dependency is unavailable");
                self.pause(claimed, name, wait, &reason).await;
                let wait = wait.min(LONGEST_WAIT);
                let put_back = put_back(wait, CountedAs::Postponement, Some(reason));
                ("postponed", self.persist(claimed, &put_back).await)
            }
            JobError::Fail(problem, cause) => {
                let (code, error) = (problem.code, chain(&cause));
                tracing::warn!(job = name, run = %id, attempt, problem = code, error, "job failed permanently");
                let end = end(FinalStatus::Failed(problem), error);
                ("failed", self.persist(claimed, &end).await)
            }
            JobError::Retry(cause) => {
                let error = chain(&cause);
                if claimed.is_probe {
                    self.pause(claimed, name, PROBE_WAIT, &error).await;
                }
                let number = claimed.failures + 1;
                let (failing, wait) = (claimed.failing_seconds, backoff::after_failure(number));
                if failing >= kind.properties.retry_for.as_secs_f64() {
                    tracing::error!(job = name, run = %id, attempt, failures = number, error, "job is dead: it has failed for as long as it is retried");
                    let end = end(FinalStatus::Dead, error);
                    return ("dead", self.persist(claimed, &end).await);
                }
                tracing::warn!(job = name, run = %id, attempt, failures = number, error, ?wait, "job failed; it will be retried");
                let put_back = put_back(wait, CountedAs::Failure, Some(error));
                ("retried", self.persist(claimed, &put_back).await)
            }
        }
    }

    /// Commits the effect with the success; the error with which the attempt ends instead if the effect was refused.
    async fn succeed(
        &self,
        claimed: &Claimed,
        done: Done,
        time_left: Duration,
    ) -> Result<Result<(), Unrecorded>, JobError> {
        let succeed = Succeed {
            fence: claimed.into(),
            done: Arc::new(done),
        };
        // The effect has the time that the attempt has left.
        let recording = self.persist_within(claimed, &succeed, time_left + RECORDING);
        match AssertUnwindSafe(recording).catch_unwind().await {
            Err(panic) => Err(JobError::retry(panic_text(&*panic))),
            Ok(Err(Unrecorded::Refused(error))) => Err(error),
            Ok(Err(Unrecorded::Database(error))) if !matches!(error, DatabaseError::OutcomeUnknown(_)) => {
                Err(JobError::database(error))
            }
            Ok(recorded) => Ok(recorded),
        }
    }

    async fn pause(&self, claimed: &Claimed, kind: &'static str, wait: Duration, reason: &str) {
        let pause = Pause {
            kind,
            wait,
            reason: reason.to_owned(),
            is_probe: claimed.is_probe,
        };
        let context = context_of(claimed, RECORDING);
        if let Err(error) = self.database.transaction(pause, &context).await {
            tracing::warn!(job = kind, %error, "the kind was not paused");
        }
    }

    async fn persist<W>(&self, claimed: &Claimed, ending: &W) -> Result<(), Unrecorded>
    where
        W: UnitOfWork<Output = (), Refusal = Unrecorded> + Clone + 'static,
    {
        self.persist_within(claimed, ending, RECORDING).await
    }

    /// Records an ending. If this process has no connection for it, or Postgres no capacity, it tries again until the
    /// limit: the work of the attempt must not be lost for that.
    async fn persist_within<W>(
        &self,
        claimed: &Claimed,
        ending: &W,
        limit: Duration,
    ) -> Result<(), Unrecorded>
    where
        W: UnitOfWork<Output = (), Refusal = Unrecorded> + Clone + 'static,
    {
        let began = Instant::now();
        loop {
            let context = context_of(claimed, limit.saturating_sub(began.elapsed()));
            let recorded = self.database.transaction(ending.clone(), &context).await;
            let may_pass = matches!(
                recorded,
                Err(Unrecorded::Database(
                    DatabaseError::Unavailable(_)
                        | DatabaseError::PoolExhausted
                        | DatabaseError::ServerOverloaded(_)
                        | DatabaseError::LockTimeout(_)
                ))
            );
            if !may_pass || began.elapsed() + RECORDING_PAUSE >= limit {
                return recorded;
            }
            tokio::time::sleep(RECORDING_PAUSE).await;
        }
    }
}

/// An error with its causes, outermost first.
fn chain(cause: &Cause) -> String {
    let mut error: &dyn std::error::Error = cause.as_ref();
    let mut text = error.to_string();
    while let Some(source) = error.source() {
        text.push_str(": ");
        text.push_str(&source.to_string());
        error = source;
    }
    // Text in Postgres cannot contain U+0000.
    text.retain(|character| character != '\0');
    text.chars().take(LONGEST_ERROR).collect()
}
