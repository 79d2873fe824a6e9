//! How the end of an attempt is recorded: as a success, a failure, a postponement or a crash.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use database::{DatabaseError, UnitOfWork};
use futures_util::FutureExt;
use outcome::{Cause, cause_chain};

use crate::{
    BoundKind, JobError,
    attempt::{Attempts, Ended, context_of, panic_text},
    attempt_outcome::Outcome,
    backoff::{self, LONGEST_WAIT},
    claim::Claimed,
    endings::{CountedAs, End, Fence, FinalStatus, MAX_CRASHES, Requeue, Succeed, Unrecorded},
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

/// The outcome of an attempt, and whether it was recorded.
type Recorded = (Outcome, Result<(), Unrecorded>);

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
        let requeue = |wait, counted_as, error| Requeue {
            fence,
            wait,
            counted_as,
            error,
        };
        let end = |status, counted_as, error| End {
            fence,
            status,
            counted_as,
            error,
        };
        let error = match ended {
            Ended::Done(done) => match self.succeed(claimed, done, time_left).await {
                Ok(recorded) => return (Outcome::Succeeded, recorded),
                Err(error) => error,
            },
            Ended::Failed(error) => error,
            Ended::Unreadable(error) => {
                tracing::error!(job = name, run = %id, error, "a payload cannot be read; it stays queued");
                let wait = backoff::after_postponement(claimed.postponements + 1, UNREADABLE_WAIT);
                let requeue = requeue(wait, CountedAs::Postponement, Some(error));
                return (Outcome::Unreadable, self.persist(claimed, &requeue).await);
            }
            Ended::Cancelled => {
                let end = end(
                    FinalStatus::Cancelled,
                    CountedAs::Nothing,
                    "cancelled by an operator".to_owned(),
                );
                return (Outcome::Cancelled, self.persist(claimed, &end).await);
            }
            Ended::HandedBack => {
                let requeue = requeue(Duration::ZERO, CountedAs::Nothing, None);
                return (Outcome::Released, self.persist(claimed, &requeue).await);
            }
            Ended::Lost => return (Outcome::Fenced, Err(Unrecorded::Fenced)),
            Ended::Stuck(error) if claimed.crashes + 1 >= MAX_CRASHES => {
                let end = end(FinalStatus::Dead, CountedAs::Crash, error.to_owned());
                return (Outcome::Dead, self.persist(claimed, &end).await);
            }
            Ended::Stuck(error) => {
                let requeue = requeue(Duration::ZERO, CountedAs::Crash, Some(error.to_owned()));
                return (Outcome::Crashed, self.persist(claimed, &requeue).await);
            }
        };
        match error {
            JobError::Postpone(wait, cause) => {
                let error = chain(&cause);
                let wait = backoff::after_postponement(claimed.postponements + 1, wait);
                tracing::info!(job = name, run = %id, attempt, cause = error, ?wait, "job postponed");
                let requeue = requeue(wait, CountedAs::Postponement, Some(error));
                (Outcome::Postponed, self.persist(claimed, &requeue).await)
            }
            JobError::Unavailable(wait, cause) => {
                let reason = chain(&cause);
                tracing::info!(job = name, run = %id, attempt, cause = reason, ?wait, "job postponed and its kind paused: a dependency is unavailable");
                self.pause(claimed, name, wait, &reason).await;
                let wait = wait.min(LONGEST_WAIT);
                let requeue = requeue(wait, CountedAs::Postponement, Some(reason));
                (Outcome::Postponed, self.persist(claimed, &requeue).await)
            }
            JobError::Fail(problem, cause) => {
                let (code, error) = (problem.code, chain(&cause));
                tracing::warn!(job = name, run = %id, attempt, problem = code, error, "job failed permanently");
                let end = end(FinalStatus::Failed(problem), CountedAs::Failure, error);
                (Outcome::Failed, self.persist(claimed, &end).await)
            }
            JobError::Retry(cause) => {
                let error = chain(&cause);
                if claimed.is_probe {
                    self.pause(claimed, name, PROBE_WAIT, &error).await;
                }
                let number = claimed.failures + 1;
                let (failing, wait) = (claimed.failing_seconds, backoff::after_failure(number));
                if failing >= kind.properties.retry_for.as_secs_f64() {
                    tracing::error!(job = name, run = %id, attempt, failures = number, error, "job is dead: it has been failing for longer than its retry period");
                    let end = end(FinalStatus::Dead, CountedAs::Failure, error);
                    return (Outcome::Dead, self.persist(claimed, &end).await);
                }
                tracing::warn!(job = name, run = %id, attempt, failures = number, error, ?wait, "job failed; it will be retried");
                let requeue = requeue(wait, CountedAs::Failure, Some(error));
                (Outcome::Retried, self.persist(claimed, &requeue).await)
            }
        }
    }

    /// Commits the effect and the success together. Returns the error with which the attempt ends if the effect was not
    /// committed.
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

/// An error with its causes, as it is stored.
fn chain(cause: &Cause) -> String {
    storable(&cause_chain(cause.as_ref()), LONGEST_ERROR)
}

/// At most this many characters of a text, without U+0000, which Postgres cannot store.
pub(crate) fn storable(text: &str, characters: usize) -> String {
    let text = text.chars().filter(|character| *character != '\0');
    text.take(characters).collect()
}
