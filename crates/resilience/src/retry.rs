//! Retries of transient errors, limited by attempts, a deadline and a budget.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use tokio::time::sleep;
use tower::retry::budget::{Budget, TpsBudget};

use crate::Deadline;

/// How long a success counts toward the budget.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);

/// Retries with full-jitter exponential backoff, within a deadline and a retry budget.
///
/// The budget grows by a fraction of successes plus a small constant rate, so that in a total outage retries hardly
/// add to the load on the dependency. Clones share the budget.
#[derive(Clone)]
pub struct RetryPolicy {
    attempts: u32,
    initial_backoff: Duration,
    budget: Arc<TpsBudget>,
}

/// What happened after an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryEvent {
    /// A retry follows, for this reason.
    Retrying(&'static str),
    /// A retry could have helped, but the budget is exhausted.
    BudgetExhausted,
}

/// Why a retry can help, and the minimum wait before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transient {
    /// The reason, as a metric label.
    pub reason: &'static str,
    /// The wait that the other side asks for, for example with `Retry-After`; the backoff is added to it.
    pub retry_after: Duration,
}

impl From<&'static str> for Transient {
    fn from(reason: &'static str) -> Self {
        Self {
            reason,
            retry_after: Duration::ZERO,
        }
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("attempts", &self.attempts)
            .field("initial_backoff", &self.initial_backoff)
            .finish_non_exhaustive()
    }
}

impl RetryPolicy {
    /// A policy of at most `attempts` attempts, including the first. The wait before attempt n+1 is random between zero
    /// and `initial_backoff` · 2ⁿ⁻¹. Over ten seconds, retries are at most the fraction `budget_ratio` of successes,
    /// plus one per second.
    pub fn new(attempts: u32, initial_backoff: Duration, budget_ratio: f32) -> Self {
        let budget = Arc::new(TpsBudget::new(BUDGET_WINDOW, 1, budget_ratio));
        Self {
            attempts,
            initial_backoff,
            budget,
        }
    }

    /// The longest total backoff of one call.
    pub fn longest_backoff(attempts: u32, initial_backoff: Duration) -> Duration {
        initial_backoff * (2u32.pow(attempts.saturating_sub(1)) - 1)
    }

    /// Calls `attempt` until it succeeds, fails permanently, or attempts, time or budget are exhausted; returns the
    /// last result. `transient` returns the reason to retry after an error, or `None` if the error is permanent.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub async fn run<T, E, F, R>(
        &self,
        deadline: Deadline,
        transient: impl Fn(&E) -> Option<R>,
        mut on_event: impl FnMut(RetryEvent),
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
        R: Into<Transient>,
    {
        let mut ceiling = self.initial_backoff;
        for left in (0..self.attempts).rev() {
            let error = match attempt().await {
                Ok(value) => {
                    self.budget.deposit();
                    return Ok(value);
                }
                Err(error) => error,
            };
            let Some(transient) = transient(&error) else {
                return Err(error);
            };
            let Transient { reason, retry_after } = transient.into();
            let backoff = retry_after + ceiling.mul_f64(fastrand::f64());
            if left == 0 || deadline.remaining() <= backoff {
                return Err(error);
            }
            if !self.budget.withdraw() {
                on_event(RetryEvent::BudgetExhausted);
                return Err(error);
            }
            on_event(RetryEvent::Retrying(reason));
            sleep(backoff).await;
            ceiling *= 2;
        }
        unreachable!("the last attempt returns")
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy::new(3, Duration::from_millis(50), 0.1)
    }

    fn in_three_seconds() -> Deadline {
        Deadline::after(Duration::from_secs(3))
    }

    async fn attempts_of(policy: &RetryPolicy, deadline: Deadline, transient: bool) -> u32 {
        let count = Cell::new(0);
        let result: Result<(), ()> = policy
            .run(
                deadline,
                |()| transient.then_some("test"),
                |_| (),
                || {
                    count.set(count.get() + 1);
                    async { Err(()) }
                },
            )
            .await;
        assert!(result.is_err());
        count.get()
    }

    #[tokio::test(start_paused = true)]
    async fn a_transient_error_gets_three_attempts_and_a_permanent_one_gets_one() {
        assert_eq!(attempts_of(&policy(), in_three_seconds(), true).await, 3);
        assert_eq!(attempts_of(&policy(), in_three_seconds(), false).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_no_retry_past_the_deadline() {
        assert_eq!(
            attempts_of(&policy(), Deadline::after(Duration::ZERO), true).await,
            1
        );
    }

    #[tokio::test(start_paused = true)]
    async fn in_a_total_outage_the_load_rises_by_at_most_a_tenth() {
        let policy = policy();
        let mut attempts = 0;
        for _ in 0..1_000 {
            attempts += attempts_of(&policy, in_three_seconds(), true).await;
        }
        assert!(attempts <= 1_100, "{attempts} attempts for 1000 calls");
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_can_succeed_and_its_reason_is_reported() {
        let (count, events) = (Cell::new(0), Cell::new(Vec::new()));
        let result: Result<u32, ()> = policy()
            .run(
                in_three_seconds(),
                |()| Some("flaky"),
                |event| events.set([events.take(), vec![event]].concat()),
                || {
                    count.set(count.get() + 1);
                    let attempt = count.get();
                    async move { if attempt == 2 { Ok(attempt) } else { Err(()) } }
                },
            )
            .await;
        assert_eq!(result, Ok(2));
        assert_eq!(events.take(), [RetryEvent::Retrying("flaky")]);
    }
}
