//! One load for all who ask at the same time.

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

/// Under its key, each with a mark that tells it from the one that comes after it.
type Flights<K, V> = HashMap<K, (Arc<()>, Shared<BoxFuture<'static, Option<V>>>)>;

/// Lets one load serve everybody who asks for the same key while it runs.
///
/// The load is a task of its own: it goes on when the one who started it hangs up, and each caller
/// waits under its own deadline.
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
    /// Loads run on `runtime`.
    pub fn new(runtime: Handle) -> Self {
        Self {
            flights: Arc::default(),
            runtime,
        }
    }

    /// The result of the load for `key`: the running one, or the one that `load` starts.
    ///
    /// # Panics
    /// When the load panicked, in everybody who waited for it.
    pub async fn run<F>(&self, key: K, load: impl FnOnce() -> F) -> V
    where
        F: Future<Output = V> + Send + 'static,
    {
        let flight = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            match flights.get(&key) {
                Some((_, flight)) => flight.clone(),
                None => {
                    let mark = Arc::default();
                    let flight = self.start(key.clone(), Arc::clone(&mark), load());
                    flights.insert(key, (mark, flight.clone()));
                    flight
                }
            }
        };
        flight.await.expect("the load that this request joined panicked")
    }

    /// Lets the next caller for `key` start anew; those who wait for the running load still get its result.
    pub fn forget(&self, key: &K) {
        self.flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }

    fn start(
        &self,
        key: K,
        mark: Arc<()>,
        load: impl Future<Output = V> + Send + 'static,
    ) -> Shared<BoxFuture<'static, Option<V>>> {
        let landing = Landing {
            key,
            mark,
            flights: self.flights.clone(),
        };
        let task = self.runtime.spawn(async move {
            let _landing = landing;
            load.await
        });
        task.map(Result::ok).boxed().shared()
    }
}

/// Removes the flight when its task ends, also by panic; not another one that has taken its place.
struct Landing<K: Eq + Hash, V> {
    key: K,
    mark: Arc<()>,
    flights: Arc<Mutex<Flights<K, V>>>,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if flights
            .get(&self.key)
            .is_some_and(|(mark, _)| Arc::ptr_eq(mark, &self.mark))
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
    async fn a_hundred_callers_share_one_load_and_the_next_starts_anew() {
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
    async fn a_load_that_was_forgotten_does_not_take_the_next_one_along() {
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

    #[tokio::test]
    async fn a_load_goes_on_when_the_one_who_started_it_hangs_up() {
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
