//! A circuit breaker: after enough failures the breaker refuses calls, then lets one probe at a time through until a
//! probe succeeds (M. Nygard, *Release It!*, "Circuit Breaker").

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::window::Window;

/// Replicas that opened together must not probe together: each opening draws its own time within this share.
const OPEN_JITTER: f64 = 0.2;

/// What opens a breaker.
#[derive(Clone, Copy, Debug)]
pub enum Trip {
    /// So many failures in a row.
    Consecutive(usize),
    /// A share of recent calls.
    Share {
        /// From 0 to 1.
        failures: f32,
        /// Among at least so many calls.
        of_at_least: usize,
        /// In this time.
        within: Duration,
    },
}

/// When the breaker opens and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// What opens it.
    pub trip: Trip,
    /// Then calls are refused for this long, give or take a fifth, before one probe is let through.
    pub open_for: Duration,
}

/// The state for a gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// One probe is in flight or awaited.
    HalfOpen,
    /// Calls are refused.
    Open,
}

/// Why a call through the breaker gave no result.
#[derive(Debug, PartialEq, Eq)]
pub enum Broken<E> {
    /// Refused without a try.
    Open,
    /// Tried, and failed.
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
        allowed: usize,
    },
    Share {
        window: Window,
        failures: f32,
        of_at_least: usize,
    },
}

#[derive(Debug)]
struct Inner {
    mode: Mode,
    record: Record,
    open_for: Duration,
    /// How often it has opened.
    openings: u64,
}

/// A breaker around calls that return a `Result`; every `Err` counts as a failure. Clones share its state.
///
/// Timeouts belong *inside* the call: one that is dropped from outside is not counted.
#[derive(Clone, Debug)]
pub struct Breaker(Arc<Mutex<Inner>>);

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: BreakerSettings) -> Self {
        let record = match settings.trip {
            Trip::Consecutive(allowed) => Record::Consecutive { failures: 0, allowed },
            Trip::Share {
                failures,
                of_at_least,
                within,
            } => Record::Share {
                window: Window::new(within),
                failures,
                of_at_least,
            },
        };
        Self(Arc::new(Mutex::new(Inner {
            mode: Mode::Closed,
            record,
            open_for: settings.open_for,
            openings: 0,
        })))
    }

    /// Runs `call` unless the breaker is open.
    ///
    /// # Errors
    /// [`Broken::Open`] when it was not tried, [`Broken::Failed`] with the call's own error.
    pub async fn call<T, E>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, Broken<E>> {
        let Some(admitted) = self.admit() else {
            return Err(Broken::Open);
        };
        let result = call.await;
        admitted.ended(result.is_err());
        result.map_err(Broken::Failed)
    }

    /// The state right now.
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
        let until = Instant::now() + self.open_for.mul_f64(jitter);
        self.mode = Mode::Open { until };
        self.openings += 1;
    }

    fn close(&mut self) {
        self.mode = Mode::Closed;
        match &mut self.record {
            Record::Consecutive { failures, .. } => *failures = 0,
            Record::Share { window, .. } => window.clear(),
        }
    }

    /// Counts a call; returns whether there were too many failures.
    fn count(&mut self, failed: bool) -> bool {
        match &mut self.record {
            Record::Consecutive { failures, allowed } => {
                *failures = if failed { *failures + 1 } else { 0 };
                *failures >= *allowed
            }
            Record::Share {
                window,
                failures,
                of_at_least,
            } => {
                let counted = window.count(failed, Instant::now());
                counted.calls >= *of_at_least && counted.share() >= *failures
            }
        }
    }
}

/// A call that was let through. A call that is dropped before its end does not count, and another probe may follow.
struct Admitted<'b> {
    breaker: &'b Breaker,
    probe: bool,
    /// How often the breaker had opened by then.
    openings: u64,
}

impl Admitted<'_> {
    fn ended(mut self, failed: bool) {
        let mut inner = self.breaker.inner();
        if std::mem::take(&mut self.probe) {
            if failed {
                inner.open();
            } else {
                inner.close();
            }
        } else if inner.openings == self.openings && inner.count(failed) {
            // A call that was admitted before the breaker opened says nothing of the time after.
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
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(5);
    const LONGEST_OPEN: Duration = Duration::from_secs(6);

    fn breaker(trip: Trip) -> Breaker {
        Breaker::new(BreakerSettings {
            trip,
            open_for: OPEN_FOR,
        })
    }

    async fn call(breaker: &Breaker, result: Result<(), ()>) -> Result<(), Broken<()>> {
        breaker.call(async move { result }).await
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_one_probe_closes_it() {
        let breaker = breaker(Trip::Consecutive(5));
        for _ in 0..4 {
            assert_eq!(call(&breaker, Err(())).await, Err(Broken::Failed(())));
        }
        assert_eq!(call(&breaker, Ok(())).await, Ok(()));
        for _ in 0..5 {
            assert_eq!(call(&breaker, Err(())).await, Err(Broken::Failed(())));
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(call(&breaker, Ok(())).await, Err(Broken::Open));
        tokio::time::advance(LONGEST_OPEN).await;

        let probe = breaker.call(async {
            assert_eq!(breaker.state(), BreakerState::HalfOpen);
            assert_eq!(
                call(&breaker, Ok(())).await,
                Err(Broken::Open),
                "one probe at a time"
            );
            Ok::<_, ()>(())
        });
        assert_eq!(probe.await, Ok(()));
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(
            call(&breaker, Err(())).await,
            Err(Broken::Failed(())),
            "it counts from the start"
        );
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_fails_opens_it_and_one_that_is_dropped_lets_another_through() {
        let breaker = breaker(Trip::Consecutive(1));
        call(&breaker, Err(())).await.expect_err("it fails");
        tokio::time::advance(LONGEST_OPEN).await;
        assert_eq!(call(&breaker, Err(())).await, Err(Broken::Failed(())), "a probe");
        assert_eq!(
            call(&breaker, Ok(())).await,
            Err(Broken::Open),
            "open for as long again"
        );
        tokio::time::advance(LONGEST_OPEN).await;
        let endless = breaker.call(std::future::pending::<Result<(), ()>>());
        let dropped = tokio::time::timeout(Duration::from_secs(1), endless).await;
        dropped.expect_err("it never ends");
        assert_eq!(call(&breaker, Ok(())).await, Ok(()));
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_ten_calls_open_it_and_nine_do_not() {
        let breaker = breaker(Trip::Share {
            failures: 0.5,
            of_at_least: 10,
            within: Duration::from_secs(30),
        });
        for call_number in 0..9 {
            let result = if call_number % 2 == 0 { Err(()) } else { Ok(()) };
            assert_ne!(call(&breaker, result).await, Err(Broken::Open));
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(call(&breaker, Ok(())).await, Ok(()));
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_from_before_it_opened_counts_neither_while_it_is_open_nor_afterwards() {
        let breaker = breaker(Trip::Consecutive(1));
        let late = |after: Duration| {
            let breaker = breaker.clone();
            tokio::spawn(async move {
                let failing = async {
                    tokio::time::sleep(after).await;
                    Err::<(), _>(())
                };
                breaker.call(failing).await
            })
        };
        let (while_open, afterwards) = (late(OPEN_FOR / 5), late(LONGEST_OPEN * 2));
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
    async fn a_share_is_counted_anew_after_it_was_open() {
        let breaker = breaker(Trip::Share {
            failures: 0.5,
            of_at_least: 2,
            within: Duration::from_secs(3600),
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
        let mut states = Vec::new();
        for _ in 0..100 {
            let breaker = breaker(Trip::Consecutive(1));
            call(&breaker, Err(())).await.expect_err("it opens");
            states.push(breaker);
        }
        tokio::time::advance(OPEN_FOR).await;
        let mut probes = 0;
        for breaker in &states {
            probes += usize::from(call(breaker, Ok(())).await.is_ok());
        }
        assert!((1..100).contains(&probes), "{probes} of 100");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_the_window_does_not_count() {
        let breaker = breaker(Trip::Share {
            failures: 0.5,
            of_at_least: 4,
            within: Duration::from_secs(30),
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
        assert_eq!(breaker.state(), BreakerState::Open, "four in it");
    }
}
