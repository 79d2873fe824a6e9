//! A bound on how much runs at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bounds how much runs at once and refuses the excess at once, without a queue:
/// under overload a queue only makes every answer late.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimit {
    semaphore: Arc<Semaphore>,
    limit: usize,
}

/// A place inside the limit; given back on drop.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl ConcurrencyLimit {
    /// At most `limit` at once.
    pub fn new(limit: usize) -> Self {
        Self {
            semaphore: Arc::new(Semaphore::new(limit)),
            limit,
        }
    }

    /// A place, or nothing when all are taken.
    pub fn try_enter(&self) -> Option<Permit> {
        self.semaphore.clone().try_acquire_owned().ok().map(Permit)
    }

    /// How many places are taken.
    pub fn in_flight(&self) -> usize {
        self.limit - self.semaphore.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_excess_is_refused_until_a_place_is_given_back() {
        let limit = ConcurrencyLimit::new(1);
        let place = limit.try_enter().expect("the first place is free");
        assert_eq!(limit.in_flight(), 1);
        assert!(limit.try_enter().is_none());
        drop(place);
        assert!(limit.try_enter().is_some());
    }
}
