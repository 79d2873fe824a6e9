//! A circuit breaker: after enough failures the breaker refuses calls, then lets one probe at a time through until a
//! probe succeeds (M. Nygard, *Release It!*, "Circuit Breaker").

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::window::Window;

/// The jitter of the open duration, as a fraction: replicas whose breakers opened together must not probe together.
const OPEN_JITTER: f64 = 0.2;

/// What opens a breaker.
#[derive(Clone, Copy, Debug)]
pub enum TripPolicy {
    /// This number of failures in a row.
    ConsecutiveFailures(usize),
    /// A fraction of recent calls.
    FailureRate {
        /// The fraction of failed calls, 0.0 to 1.0.
        threshold: f32,
        /// The number of calls below which the fraction is ignored.
        min_calls: usize,
        /// The period over which calls are counted.
        window: Duration,
    },
}

/// When the breaker opens and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// What opens the breaker.
    pub trip: TripPolicy,
    /// How long calls are refused before one probe is let through, with a jitter of ±20 %.
    pub open_duration: Duration,
}

/// The state of a breaker, for a gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// A probe is in flight, or the next call is one.
    HalfOpen,
    /// Calls are refused.
    Open,
}

/// Why a call through a breaker failed.
#[derive(Debug, PartialEq, Eq)]
pub enum BreakerError<E> {
    /// The breaker refused the call without an attempt.
    Open,
    /// The call itself failed.
    Failed(E),
}

#[derive(Debug)]
enum Mode {
    Closed,
    Open { until: Instant },
    HalfOpen { probing: bool },
}

#[derive(Debug)]
enum Record {
    Consecutive {
        failures: usize,
        limit: usize,
    },
    FailureRate {
        window: Window,
        threshold: f32,
        min_calls: usize,
    },
}

#[derive(Debug)]
struct Inner {
    mode: Mode,
    record: Record,
    open_duration: Duration,
    /// How many times the breaker has opened.
    openings: u64,
}

/// A circuit breaker around calls that return a `Result`; every `Err` counts as a failure. Clones share the state.
///
/// Timeouts belong *inside* the call: a call that is dropped from outside is not counted.
#[derive(Clone, Debug)]
pub struct Breaker(Arc<Mutex<Inner>>);

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: BreakerSettings) -> Self {
        let record = match settings.trip {
            TripPolicy::ConsecutiveFailures(limit) => Record::Consecutive { failures: 0, limit },
            TripPolicy::FailureRate {
                threshold,
                min_calls,
                window,
            } => Record::FailureRate {
                window: Window::new(window),
                threshold,
                min_calls,
            },
        };
        Self(Arc::new(Mutex::new(Inner {
            mode: Mode::Closed,
            record,
            open_duration: settings.open_duration,
            openings: 0,
        })))
    }

    /// Runs `call` unless the breaker is open.
    ///
    /// # Errors
    /// [`BreakerError::Open`] if `call` was not attempted, [`BreakerError::Failed`] with the error of `call`.
    pub async fn call<T, E>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, BreakerError<E>> {
        let Some(admitted) = self.admit() else {
            return Err(BreakerError::Open);
        };
        let result = call.await;
        admitted.finish(result.is_err());
        result.map_err(BreakerError::Failed)
    }

    /// The current state.
    pub fn state(&self) -> BreakerState {
        match self.inner().mode {
            Mode::Closed => BreakerState::Closed,
            Mode::Open { .. } => BreakerState::Open,
            Mode::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self) -> Option<Admitted<'_>> {
        let mut inner = self.inner();
        let probe = match inner.mode {
            Mode::Closed => false,
            Mode::Open { until } if Instant::now() < until => return None,
            Mode::HalfOpen { probing: true } => return None,
            Mode::Open { .. } | Mode::HalfOpen { probing: false } => {
                inner.mode = Mode::HalfOpen { probing: true };
                true
            }
        };
        Some(Admitted {
            breaker: self,
            probe,
            openings: inner.openings,
        })
    }
}

impl Inner {
    fn open(&mut self) {
        let jitter = 1.0 + OPEN_JITTER * (2.0 * fastrand::f64() - 1.0);
        let until = Instant::now() + self.open_duration.mul_f64(jitter);
        self.mode = Mode::Open { until };
        self.openings += 1;
    }

    fn close(&mut self) {
        self.mode = Mode::Closed;
        match &mut self.record {
            Record::Consecutive { failures, .. } => *failures = 0,
            Record::FailureRate { window, .. } => window.clear(),
        }
    }

    /// Counts a call; returns whether the breaker must open.
    fn count(&mut self, failed: bool) -> bool {
        match &mut self.record {
            Record::Consecutive { failures, limit } => {
                *failures = if failed { *failures + 1 } else { 0 };
                *failures >= *limit
            }
            Record::FailureRate {
                window,
                threshold,
                min_calls,
            } => {
                let counted = window.count(failed, Instant::now());
                counted.calls >= *min_calls && counted.failure_rate() >= *threshold
            }
        }
    }
}

/// A call that was let through. If dropped before it ends, the call is not counted, and a probe makes way for another.
struct Admitted<'b> {
    breaker: &'b Breaker,
    probe: bool,
    /// How many times the breaker had opened when the call was admitted.
    openings: u64,
}

impl Admitted<'_> {
    fn finish(mut self, failed: bool) {
        let mut inner = self.breaker.inner();
        if std::mem::take(&mut self.probe) {
            if failed {
                inner.open();
            } else {
                inner.close();
            }
        } else if inner.openings == self.openings && inner.count(failed) {
            // A call that was admitted before the breaker opened says nothing about the time after it.
            inner.open();
        }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.inner().mode = Mode::HalfOpen { probing: false };
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test ends with its tasks")]
mod tests {
    use super::*;

    const OPEN_DURATION: Duration = Duration::from_secs(5);
    const LONGEST_OPEN: Duration = Duration::from_secs(6);

    fn breaker(trip: TripPolicy) -> Breaker {
        Breaker::new(BreakerSettings {
            trip,
            open_duration: OPEN_DURATION,
        })
    }

    async fn call(breaker: &Breaker, result: Result<(), ()>) -> Result<(), BreakerError<()>> {
        breaker.call(async move { result }).await
    }

    #[tokio::test(start_paused = true)]
    async fn opens_after_consecutive_failures_and_closes_after_one_probe() {
        let breaker = breaker(TripPolicy::ConsecutiveFailures(5));
        for _ in 0..4 {
            assert_eq!(call(&breaker, Err(())).await, Err(BreakerError::Failed(())));
        }
        assert_eq!(call(&breaker, Ok(())).await, Ok(()));
        for _ in 0..5 {
            assert_eq!(call(&breaker, Err(())).await, Err(BreakerError::Failed(())));
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(call(&breaker, Ok(())).await, Err(BreakerError::Open));
        tokio::time::advance(LONGEST_OPEN).await;

        let probe = breaker.call(async {
            assert_eq!(breaker.state(), BreakerState::HalfOpen);
            assert_eq!(
                call(&breaker, Ok(())).await,
                Err(BreakerError::Open),
                "one probe at a time"
            );
            Ok::<_, ()>(())
        });
        assert_eq!(probe.await, Ok(()));
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(
            call(&breaker, Err(())).await,
            Err(BreakerError::Failed(())),
            "the count starts over"
        );
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_probe_reopens_and_a_dropped_probe_allows_another() {
        let breaker = breaker(TripPolicy::ConsecutiveFailures(1));
        call(&breaker, Err(())).await.expect_err("it fails");
        tokio::time::advance(LONGEST_OPEN).await;
        assert_eq!(
            call(&breaker, Err(())).await,
            Err(BreakerError::Failed(())),
            "a probe"
        );
        assert_eq!(
            call(&breaker, Ok(())).await,
            Err(BreakerError::Open),
            "open for the full duration again"
        );
        tokio::time::advance(LONGEST_OPEN).await;
        let hanging = breaker.call(std::future::pending::<Result<(), ()>>());
        let dropped = tokio::time::timeout(Duration::from_secs(1), hanging).await;
        dropped.expect_err("it never ends");
        assert_eq!(call(&breaker, Ok(())).await, Ok(()));
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn opens_at_the_failure_rate_but_only_from_min_calls() {
        let breaker = breaker(TripPolicy::FailureRate {
            threshold: 0.5,
            min_calls: 10,
            window: Duration::from_secs(30),
        });
        for call_number in 0..9 {
            let result = if call_number % 2 == 0 { Err(()) } else { Ok(()) };
            assert_ne!(call(&breaker, result).await, Err(BreakerError::Open));
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(call(&breaker, Ok(())).await, Ok(()));
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_admitted_before_opening_are_not_counted_after_it() {
        let breaker = breaker(TripPolicy::ConsecutiveFailures(1));
        let fail_after = |delay: Duration| {
            let breaker = breaker.clone();
            tokio::spawn(async move {
                let failing = async {
                    tokio::time::sleep(delay).await;
                    Err::<(), _>(())
                };
                breaker.call(failing).await
            })
        };
        let (while_open, afterwards) = (fail_after(OPEN_DURATION / 5), fail_after(LONGEST_OPEN * 2));
        tokio::task::yield_now().await;
        call(&breaker, Err(())).await.expect_err("it opens");
        while_open.await.expect("it ends").expect_err("it fails");
        assert_eq!(breaker.state(), BreakerState::Open);
        tokio::time::sleep(LONGEST_OPEN).await;
        assert_eq!(call(&breaker, Ok(())).await, Ok(()), "a probe");
        afterwards.await.expect("it ends").expect_err("it fails");
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn the_failure_rate_starts_over_after_closing() {
        let breaker = breaker(TripPolicy::FailureRate {
            threshold: 0.5,
            min_calls: 2,
            window: Duration::from_hours(1),
        });
        for _ in 0..2 {
            call(&breaker, Err(())).await.expect_err("it fails");
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        tokio::time::advance(LONGEST_OPEN).await;
        assert_eq!(call(&breaker, Ok(())).await, Ok(()), "a probe");
        call(&breaker, Err(())).await.expect_err("it fails");
        assert_eq!(breaker.state(), BreakerState::Closed, "one call in the window");
    }

    #[tokio::test(start_paused = true)]
    async fn breakers_that_opened_together_do_not_probe_together() {
        let mut breakers = Vec::new();
        for _ in 0..100 {
            let breaker = breaker(TripPolicy::ConsecutiveFailures(1));
            call(&breaker, Err(())).await.expect_err("it opens");
            breakers.push(breaker);
        }
        tokio::time::advance(OPEN_DURATION).await;
        let mut probes = 0;
        for breaker in &breakers {
            probes += usize::from(call(breaker, Ok(())).await.is_ok());
        }
        assert!((1..100).contains(&probes), "{probes} of 100");
    }

    #[tokio::test(start_paused = true)]
    async fn calls_older_than_the_window_are_not_counted() {
        let breaker = breaker(TripPolicy::FailureRate {
            threshold: 0.5,
            min_calls: 4,
            window: Duration::from_secs(30),
        });
        for _ in 0..3 {
            call(&breaker, Err(())).await.expect_err("it fails");
        }
        tokio::time::advance(Duration::from_secs(31)).await;
        call(&breaker, Err(())).await.expect_err("it fails");
        assert_eq!(breaker.state(), BreakerState::Closed, "one call in the window");
        for _ in 0..3 {
            call(&breaker, Err(())).await.expect_err("it fails");
            tokio::time::advance(Duration::from_secs(5)).await;
        }
        assert_eq!(breaker.state(), BreakerState::Open, "four calls in the window");
    }
}
