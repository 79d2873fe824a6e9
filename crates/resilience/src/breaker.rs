//! A breaker: after enough failures, calls are refused at once and one probe finds out when it is over.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use tower::{Service, service_fn};
use tower_resilience::circuitbreaker::{
    CircuitBreaker, CircuitBreakerError, CircuitBreakerHandle, CircuitBreakerLayer, CircuitState,
    FailureClassifier, SlidingWindowType,
};

type Call<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;
type AwaitCall<T, E> = fn(Call<T, E>) -> Call<T, E>;

/// Replicas that opened together must not probe together: each breaker draws its own time within this share.
const OPEN_JITTER: f64 = 0.2;

/// What opens a breaker.
#[derive(Clone, Copy, Debug)]
pub enum Trip {
    /// So many failures in a row.
    Consecutive(usize),
    /// A share of recent calls.
    Share {
        /// From 0 to 1.
        failures: f64,
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
    /// One probe finds out.
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

/// Which results count as failures. A type of its own, since a closure's could not be named in [`Breaker`].
#[derive(Clone, Copy, Debug)]
struct EveryError;

impl<T, E> FailureClassifier<T, E> for EveryError {
    fn classify(&self, result: &Result<T, E>) -> bool {
        result.is_err()
    }
}

/// A breaker around calls that return `Result<T, E>`; every `Err` counts as a failure. Clones share its state.
///
/// Timeouts belong *inside* the call: one that is dropped from outside is not counted.
pub struct Breaker<T, E> {
    service: CircuitBreaker<tower::util::ServiceFn<AwaitCall<T, E>>, EveryError>,
    handle: CircuitBreakerHandle<EveryError>,
}

impl<T, E> Clone for Breaker<T, E> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            handle: self.handle.clone(),
        }
    }
}

impl<T, E> fmt::Debug for Breaker<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static, E: Send + 'static> Breaker<T, E> {
    /// A closed breaker.
    ///
    /// # Errors
    /// When the settings make no sense, such as zero failures.
    pub fn new(
        name: &str,
        settings: BreakerSettings,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let jitter = 1.0 + OPEN_JITTER * (2.0 * fastrand::f64() - 1.0);
        let builder = CircuitBreakerLayer::builder()
            .name(name)
            .wait_duration_in_open(settings.open_for.mul_f64(jitter))
            .permitted_calls_in_half_open(1);
        let builder = match settings.trip {
            Trip::Consecutive(failures) => builder.consecutive_failures(failures),
            Trip::Share {
                failures,
                of_at_least,
                within,
            } => builder
                .failure_rate_threshold(failures)
                .sliding_window_type(SlidingWindowType::TimeBased)
                .sliding_window_duration(within)
                .minimum_number_of_calls(of_at_least),
        };
        let (layer, handle) = builder.failure_classifier_type(EveryError).build_with_handle()?;
        let await_call: AwaitCall<T, E> = |call| call;
        Ok(Self {
            service: layer.layer_fn(service_fn(await_call)),
            handle,
        })
    }

    /// Runs `call` unless the breaker is open.
    ///
    /// # Errors
    /// [`Broken::Open`] when it was not tried, [`Broken::Failed`] with the call's own error.
    pub async fn call(
        &self,
        call: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, Broken<E>> {
        self.service
            .clone()
            .call(Box::pin(call))
            .await
            .map_err(|error| match error {
                CircuitBreakerError::Inner(error) => Broken::Failed(error),
                CircuitBreakerError::OpenCircuit => Broken::Open,
            })
    }
}

impl<T, E> Breaker<T, E> {
    /// The state right now.
    pub fn state(&self) -> BreakerState {
        match self.handle.state() {
            CircuitState::Closed => BreakerState::Closed,
            CircuitState::HalfOpen => BreakerState::HalfOpen,
            CircuitState::Open => BreakerState::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    async fn call(breaker: &Breaker<(), ()>, result: Result<(), ()>) -> Result<(), Broken<()>> {
        breaker.call(async move { result }).await
    }

    #[tokio::test]
    async fn it_opens_after_failures_in_a_row_and_one_probe_closes_it() {
        let open_for = Duration::from_millis(50);
        let breaker = Breaker::new(
            "test",
            BreakerSettings {
                trip: Trip::Consecutive(5),
                open_for,
            },
        )
        .expect("valid");
        for _ in 0..4 {
            assert_eq!(call(&breaker, Err(())).await, Err(Broken::Failed(())));
        }
        assert_eq!(call(&breaker, Ok(())).await, Ok(()));
        for _ in 0..5 {
            assert_eq!(call(&breaker, Err(())).await, Err(Broken::Failed(())));
        }
        assert_eq!(breaker.state(), BreakerState::Open);

        let opened = Instant::now();
        let mut refused = 0;
        while call(&breaker, Ok(())).await == Err(Broken::Open) {
            refused += 1;
            tokio::task::yield_now().await;
        }
        assert!(refused > 0 && opened.elapsed() >= open_for / 2);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[tokio::test]
    async fn half_of_ten_calls_open_it_and_nine_do_not() {
        let trip = Trip::Share {
            failures: 0.5,
            of_at_least: 10,
            within: Duration::from_secs(30),
        };
        let open_for = Duration::from_secs(5);
        let breaker = Breaker::new("test", BreakerSettings { trip, open_for }).expect("valid");
        for call_number in 0..9 {
            let result = if call_number % 2 == 0 { Err(()) } else { Ok(()) };
            assert_ne!(call(&breaker, result).await, Err(Broken::Open));
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(call(&breaker, Ok(())).await, Ok(()));
        assert_eq!(breaker.state(), BreakerState::Open);
    }
}
