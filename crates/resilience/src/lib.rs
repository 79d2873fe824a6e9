//! Ways to stay up when something else is not: deadline, retry with a budget, breaker,
//! concurrency limit, single-flight. No web framework, no particular dependency.

mod breaker;
mod concurrency;
mod deadline;
mod retry;
mod single_flight;
mod window;

pub use breaker::{Breaker, BreakerSettings, BreakerState, Broken, Trip};
pub use concurrency::{ConcurrencyLimit, Permit};
pub use deadline::{Deadline, DeadlineExceeded};
pub use retry::{RetryEvent, RetryPolicy, Transient};
pub use single_flight::SingleFlight;
