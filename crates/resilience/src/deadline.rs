//! The moment by which an answer is due.

use std::{fmt, future::Future, time::Duration};

use tokio::time::{Instant, timeout_at};

/// The moment by which an answer is due. Everything a request does spends what remains of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// The deadline passed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineExceeded;

impl fmt::Display for DeadlineExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline passed")
    }
}

impl std::error::Error for DeadlineExceeded {}

impl Deadline {
    /// The moment `budget` from now.
    pub fn after(budget: Duration) -> Self {
        Self(Instant::now() + budget)
    }

    /// The moment itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// How much is left; zero once it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// The earlier of this and `limit` from now.
    pub fn at_most(self, limit: Duration) -> Self {
        self.min(Self::after(limit))
    }

    /// Runs `future` until the deadline and drops it there.
    pub async fn bound<F: Future>(self, future: F) -> Result<F::Output, DeadlineExceeded> {
        timeout_at(self.0, future).await.map_err(|_| DeadlineExceeded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_future_is_dropped_at_the_deadline() {
        let deadline = Deadline::after(Duration::from_secs(1));
        assert_eq!(
            deadline.bound(std::future::pending::<()>()).await,
            Err(DeadlineExceeded)
        );
        assert_eq!(deadline.remaining(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_limit_wins() {
        let deadline = Deadline::after(Duration::from_secs(3));
        assert_eq!(
            deadline.at_most(Duration::from_secs(1)).remaining(),
            Duration::from_secs(1)
        );
        assert_eq!(
            deadline.at_most(Duration::from_secs(9)).remaining(),
            Duration::from_secs(3)
        );
    }
}
