//! Trying again: only what is safe, only what may pass, and never so much that it makes things worse.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use tokio::time::sleep;
use tower::retry::budget::{Budget, TpsBudget};

use crate::Deadline;

/// How long a success keeps paying for retries.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);

/// Full-jitter exponential backoff inside a deadline, paid from a budget.
///
/// The budget grows by a share of successes plus a small rate, so at total failure the load on
/// the dependency hardly rises. Clones share it.
#[derive(Clone)]
pub struct RetryPolicy {
    attempts: u32,
    first_backoff: Duration,
    budget: Arc<TpsBudget>,
}

/// What happened between two attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryEvent {
    /// Another attempt follows, because of this.
    Retrying(&'static str),
    /// Another attempt would have been right, but the budget is spent.
    BudgetExhausted,
}

/// Why trying again may help, and how long to wait first at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transient {
    /// The metric's word for it.
    pub reason: &'static str,
    /// As the other side asks, for example with `Retry-After`; the backoff comes on top.
    pub not_before: Duration,
}

impl From<&'static str> for Transient {
    fn from(reason: &'static str) -> Self {
        Self {
            reason,
            not_before: Duration::ZERO,
        }
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("attempts", &self.attempts)
            .field("first_backoff", &self.first_backoff)
            .finish_non_exhaustive()
    }
}

impl RetryPolicy {
    /// At most `attempts` in all. The wait before attempt n+1 is random between zero and
    /// `first_backoff` · 2ⁿ⁻¹. Retries are at most `share` of successes plus one per second,
    /// over ten seconds.
    pub fn new(attempts: u32, first_backoff: Duration, share: f32) -> Self {
        let budget = Arc::new(TpsBudget::new(BUDGET_WINDOW, 1, share));
        Self {
            attempts,
            first_backoff,
            budget,
        }
    }

    /// The longest that all waits of one call can take together.
    pub fn longest_backoff(attempts: u32, first_backoff: Duration) -> Duration {
        first_backoff * (2u32.pow(attempts.saturating_sub(1)) - 1)
    }

    /// Calls `attempt` until it succeeds, fails for good, or nothing is left of attempts, time or budget;
    /// returns the last result. `transient` names the reason of an error that may pass.
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
        let mut ceiling = self.first_backoff;
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
            let Transient { reason, not_before } = transient.into();
            let backoff = not_before + ceiling.mul_f64(fastrand::f64());
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

    fn soon() -> Deadline {
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
    async fn a_transient_fault_is_tried_three_times_and_a_final_one_once() {
        assert_eq!(attempts_of(&policy(), soon(), true).await, 3);
        assert_eq!(attempts_of(&policy(), soon(), false).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_tried_past_the_deadline() {
        assert_eq!(
            attempts_of(&policy(), Deadline::after(Duration::ZERO), true).await,
            1
        );
    }

    #[tokio::test(start_paused = true)]
    async fn at_total_failure_the_load_rises_by_at_most_a_tenth() {
        let policy = policy();
        let mut attempts = 0;
        for _ in 0..1_000 {
            attempts += attempts_of(&policy, soon(), true).await;
        }
        assert!(attempts <= 1_100, "{attempts} attempts for 1000 calls");
    }

    #[tokio::test(start_paused = true)]
    async fn success_after_a_retry_is_success_and_the_reason_is_told() {
        let (count, events) = (Cell::new(0), Cell::new(Vec::new()));
        let result: Result<u32, ()> = policy()
            .run(
                soon(),
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
