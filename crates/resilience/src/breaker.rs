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
    /// The breaker refused the call without an attempt; the next probe is possible after this time.
    Open(Duration),
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
        let admitted = self.admit().map_err(BreakerError::Open)?;
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

    /// Admits a call; the error is the time until the next probe is possible, zero if one is running.
    fn admit(&self) -> Result<Admitted<'_>, Duration> {
        let mut inner = self.inner();
        let now = Instant::now();
        let probe = match inner.mode {
            Mode::Closed => false,
            Mode::Open { until } if now < until => return Err(until - now),
            Mode::HalfOpen { probing: true } => return Err(Duration::ZERO),
            Mode::Open { .. } | Mode::HalfOpen { probing: false } => {
                inner.mode = Mode::HalfOpen { probing: true };
                true
            }
        };
        Ok(Admitted {
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
mod tests;
