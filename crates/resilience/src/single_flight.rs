//! One load for all concurrent callers.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::runtime::Handle;

/// The running loads by key, each with an identity that distinguishes it from a later load of the same key.
type Flights<K, V> = HashMap<K, (Arc<()>, Shared<BoxFuture<'static, Option<V>>>)>;

/// Lets one load serve all callers that ask for the same key while it runs.
///
/// The load is a separate task: it continues if the caller that started it is dropped, and each caller waits under its
/// own deadline.
pub struct SingleFlight<K, V> {
    flights: Arc<Mutex<Flights<K, V>>>,
    runtime: Handle,
}

impl<K, V> fmt::Debug for SingleFlight<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").finish_non_exhaustive()
    }
}

impl<K, V> SingleFlight<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A single flight whose loads run on `runtime`.
    pub fn new(runtime: Handle) -> Self {
        Self {
            flights: Arc::default(),
            runtime,
        }
    }

    /// The result of the load for `key`: the running one if there is one, otherwise `load`.
    ///
    /// # Panics
    /// If the load panics, in every caller that waits for it.
    pub async fn run<F>(&self, key: K, load: impl FnOnce() -> F) -> V
    where
        F: Future<Output = V> + Send + 'static,
    {
        let flight = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, flight)) = flights.get(&key) {
                flight.clone()
            } else {
                let identity = Arc::default();
                let flight = self.start(key.clone(), Arc::clone(&identity), load());
                flights.insert(key, (identity, flight.clone()));
                flight
            }
        };
        flight.await.expect("the load that this caller joined panicked")
    }

    /// Makes the next caller for `key` start a new load; callers that wait for the running one still get its result.
    pub fn forget(&self, key: &K) {
        self.flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }

    fn start(
        &self,
        key: K,
        identity: Arc<()>,
        load: impl Future<Output = V> + Send + 'static,
    ) -> Shared<BoxFuture<'static, Option<V>>> {
        let flights = self.flights.clone();
        let task = self.runtime.spawn(async move {
            // Created by the task, not before: a runtime that has shut down drops the task immediately, and the lock
            // that the guard needs is held here.
            let _guard = RemoveOnDrop {
                key,
                identity,
                flights,
            };
            load.await
        });
        task.map(Result::ok).boxed().shared()
    }
}

/// Removes the flight when its task ends, even by a panic, unless a later flight has replaced it.
struct RemoveOnDrop<K: Eq + Hash, V> {
    key: K,
    identity: Arc<()>,
    flights: Arc<Mutex<Flights<K, V>>>,
}

impl<K: Eq + Hash, V> Drop for RemoveOnDrop<K, V> {
    fn drop(&mut self) {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if flights
            .get(&self.key)
            .is_some_and(|(identity, _)| Arc::ptr_eq(identity, &self.identity))
        {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn concurrent_callers_share_one_load_and_a_later_one_starts_another() {
        let flights = SingleFlight::new(Handle::current());
        let (loads, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let load = || {
            let (loads, gate) = (loads.clone(), gate.clone());
            move || async move {
                let number = loads.fetch_add(1, Ordering::SeqCst);
                gate.notified().await;
                number
            }
        };
        let first = futures_util::future::join_all((0..100).map(|_| flights.run("key", load())));
        let (results, ()) = tokio::join!(first, async { gate.notify_one() });
        assert_eq!(results, vec![0; 100]);
        gate.notify_one();
        assert_eq!(flights.run("key", load()).await, 1);
    }

    #[tokio::test]
    async fn the_end_of_a_forgotten_load_does_not_remove_its_successor() {
        let flights = SingleFlight::new(Handle::current());
        let (first_gate, second_gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let waiting = |gate: &Arc<Notify>| {
            let gate = gate.clone();
            move || async move { gate.notified().await }
        };
        let mut first = Box::pin(flights.run("key", waiting(&first_gate)));
        assert!((&mut first).now_or_never().is_none());
        flights.forget(&"key");
        let mut second = Box::pin(flights.run("key", waiting(&second_gate)));
        assert!((&mut second).now_or_never().is_none());
        first_gate.notify_one();
        first.await;
        second_gate.notify_one();
        let third = flights.run("key", || async { panic!("must join the second load") });
        tokio::join!(second, third);
    }

    #[test]
    fn a_runtime_that_has_shut_down_does_not_block_the_caller() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .build()
            .expect("a runtime");
        let flights = SingleFlight::new(runtime.handle().clone());
        runtime.shutdown_background();
        let (done, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let load = std::panic::AssertUnwindSafe(flights.run("key", || async {}));
            let _ = load.catch_unwind().now_or_never();
            let _ = done.send(());
        });
        let ended = ended.recv_timeout(std::time::Duration::from_secs(5));
        ended.expect("the caller is not blocked by its own lock");
    }

    #[tokio::test]
    async fn a_load_continues_when_its_first_caller_is_dropped() {
        let flights = SingleFlight::new(Handle::current());
        let gate = Arc::new(Notify::new());
        let wait = gate.clone();
        let started = flights.run("key", move || async move { wait.notified().await });
        assert!(started.now_or_never().is_none());
        gate.notify_one();
        flights
            .run("key", || async { panic!("must join the running load") })
            .await;
    }
}
