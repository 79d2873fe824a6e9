//! A limit on concurrency.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Limits how many operations run at the same time and refuses the excess immediately, without a queue: under overload,
/// a queue only delays every response.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimit {
    semaphore: Arc<Semaphore>,
    limit: usize,
}

/// A permit to run one operation; released on drop.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "releases the permit on drop")] OwnedSemaphorePermit);

impl ConcurrencyLimit {
    /// A limit of `limit` permits.
    pub fn new(limit: usize) -> Self {
        Self {
            semaphore: Arc::new(Semaphore::new(limit)),
            limit,
        }
    }

    /// A permit, or `None` if all are in use.
    pub fn try_acquire(&self) -> Option<Permit> {
        self.semaphore.clone().try_acquire_owned().ok().map(Permit)
    }

    /// The number of permits in use.
    pub fn in_flight(&self) -> usize {
        self.limit - self.semaphore.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_excess_is_refused_until_a_permit_is_released() {
        let limit = ConcurrencyLimit::new(1);
        let permit = limit.try_acquire().expect("the first permit is free");
        assert_eq!(limit.in_flight(), 1);
        assert!(limit.try_acquire().is_none());
        drop(permit);
        assert!(limit.try_acquire().is_some());
    }
}
