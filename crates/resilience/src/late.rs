//! Attempts that outlast their caller.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::Instant,
};

/// Opens things, such as connections, in tasks that continue after their caller has timed out; a later caller takes the
/// result. Otherwise nothing could ever be opened while opening takes longer than callers wait.
pub struct Late<T> {
    kept: Arc<Mutex<Vec<(Instant, T)>>>,
    /// Limits concurrent attempts, including those whose caller has timed out.
    running: Arc<Semaphore>,
    limits: LateLimits,
    runtime: Handle,
}

/// The limits of [`Late`].
#[derive(Clone, Copy, Debug)]
pub struct LateLimits {
    /// The maximum number of attempts at the same time.
    pub attempts: usize,
    /// The maximum number of results that wait for a caller.
    pub kept: usize,
    /// How long a result may wait for a caller. One that has waited longer is dropped at the next attempt.
    pub keep_for: Duration,
}

impl<T> fmt::Debug for Late<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Late")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Late<T> {
    /// Attempts run on `runtime`.
    pub fn new(limits: LateLimits, runtime: Handle) -> Self {
        Self {
            kept: Arc::default(),
            running: Arc::new(Semaphore::new(limits.attempts)),
            limits,
            runtime,
        }
    }

    /// The result of an earlier attempt whose caller had timed out, or else of `attempt`; `None` if the runtime has shut
    /// down.
    ///
    /// # Errors
    /// The error of `attempt`.
    pub async fn open<E: Send + 'static>(
        &self,
        attempt: impl FnOnce() -> BoxFuture<'static, Result<T, E>>,
    ) -> Option<Result<T, E>> {
        if let Some(kept) = self.take() {
            return Some(Ok(kept));
        }
        let permit = self.running.clone().acquire_owned().await.ok()?;
        if let Some(kept) = self.take() {
            return Some(Ok(kept));
        }
        self.start(attempt(), permit).await.ok()
    }

    fn start<E: Send + 'static>(
        &self,
        attempt: BoxFuture<'static, Result<T, E>>,
        permit: OwnedSemaphorePermit,
    ) -> oneshot::Receiver<Result<T, E>> {
        let (all, most) = (self.kept.clone(), self.limits.kept);
        let (send, receive) = oneshot::channel();
        self.runtime.spawn(async move {
            let _permit = permit;
            if let Err(Ok(unclaimed)) = send.send(attempt.await) {
                let mut kept = lock(&all);
                if kept.len() < most {
                    kept.push((Instant::now(), unclaimed));
                }
            }
        });
        receive
    }

    /// Drops the results that wait for a caller.
    pub fn clear(&self) {
        lock(&self.kept).clear();
    }

    fn take(&self) -> Option<T> {
        let mut kept = lock(&self.kept);
        kept.retain(|(since, _)| since.elapsed() < self.limits.keep_for);
        kept.pop().map(|(_, kept)| kept)
    }
}

fn lock<T>(kept: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_attempt_continues_after_its_caller_has_timed_out_and_serves_a_later_one() {
        let limits = LateLimits {
            attempts: 1,
            kept: 1,
            keep_for: Duration::from_secs(30),
        };
        let late = Late::new(limits, Handle::current());
        let slow = |value: u32| {
            move || {
                let value = async move {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Ok::<_, ()>(value)
                };
                value.boxed()
            }
        };
        let hurried = tokio::time::timeout(Duration::from_millis(100), late.open(slow(1))).await;
        assert!(hurried.is_err(), "it takes a second");
        assert_eq!(late.open(slow(2)).await, Some(Ok(1)));
        assert_eq!(late.open(slow(3)).await, Some(Ok(3)));

        let hurried = tokio::time::timeout(Duration::from_millis(100), late.open(slow(4))).await;
        assert!(hurried.is_err());
        tokio::time::sleep(Duration::from_secs(32)).await;
        assert_eq!(
            late.open(slow(5)).await,
            Some(Ok(5)),
            "the earlier result is too old"
        );
    }
}
