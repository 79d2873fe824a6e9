//! Ways to stay up when something else is not: deadline, retry with a budget, breaker,
//! concurrency and rate limits, single flight. No web framework, no particular dependency.

mod breaker;
mod concurrency;
mod deadline;
mod rate_limit;
mod retry;
mod single_flight;
mod window;

pub use breaker::{Breaker, BreakerSettings, BreakerState, Broken, Trip};
pub use concurrency::{ConcurrencyLimit, Permit};
pub use deadline::{Deadline, DeadlineExceeded};
pub use rate_limit::{Quota, RateLimit};
pub use retry::{RetryEvent, RetryPolicy, Transient};
pub use single_flight::SingleFlight;
