//! The moment by which a response is due.

use std::{fmt, future::Future, time::Duration};

use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};

/// The moment by which a response is due. All work for a request shares the remaining time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// The error of work that the deadline cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineExceeded;

impl fmt::Display for DeadlineExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline passed")
    }
}

impl std::error::Error for DeadlineExceeded {}

impl Deadline {
    /// A deadline `budget` from now.
    pub fn after(budget: Duration) -> Self {
        Self(Instant::now() + budget)
    }

    /// The deadline as an `Instant`.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The remaining time; zero once the deadline has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// The earlier of this deadline and one `limit` from now.
    pub fn capped_at(self, limit: Duration) -> Self {
        self.min(Self::after(limit))
    }

    /// Runs `future`, which is dropped at the deadline.
    ///
    /// # Errors
    /// [`DeadlineExceeded`] if the deadline passed first.
    pub fn timeout<F: Future>(self, future: F) -> impl Future<Output = Result<F::Output, DeadlineExceeded>> {
        // Not an `async fn`, which would hold the future twice.
        timeout_at(self.0, future).map(|result| result.map_err(|_| DeadlineExceeded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_future_is_dropped_at_the_deadline() {
        let deadline = Deadline::after(Duration::from_secs(1));
        assert_eq!(
            deadline.timeout(std::future::pending::<()>()).await,
            Err(DeadlineExceeded)
        );
        assert_eq!(deadline.remaining(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_limit_wins() {
        let deadline = Deadline::after(Duration::from_secs(3));
        assert_eq!(
            deadline.capped_at(Duration::from_secs(1)).remaining(),
            Duration::from_secs(1)
        );
        assert_eq!(
            deadline.capped_at(Duration::from_secs(9)).remaining(),
            Duration::from_secs(3)
        );
    }
}
