//! Resilience patterns: deadline, retry with a budget, circuit breaker, concurrency and rate limits, single flight.
//! They are independent of any web framework and of any particular dependency.

mod breaker;
mod concurrency;
mod deadline;
mod keyed_limit;
mod late;
mod rate_limit;
mod retry;
mod single_flight;
mod window;

pub use breaker::{Breaker, BreakerError, BreakerSettings, BreakerState, TripPolicy};
pub use concurrency::{ConcurrencyLimit, Permit};
pub use deadline::{Deadline, DeadlineExceeded};
pub use keyed_limit::{KeyedLimit, KeyedPermit};
pub use late::{Late, LateLimits};
pub use rate_limit::{Quota, RateLimit};
pub use retry::{RetryEvent, RetryPolicy, Transient};
pub use single_flight::SingleFlight;
