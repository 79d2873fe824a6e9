//! Notifications (`NOTIFY`) that are sent after commits.
//!
//! A commit that notifies takes a lock of the whole server until it is flushed to disk, so such commits run one after
//! another. Here, one statement outside their transactions notifies for all commits of the last few milliseconds.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use resilience::Deadline;
use tokio::runtime::Handle;

use crate::{DatabaseError, TransactionError, pool::ConnectionPool};

/// The shortest interval between two notifications of one process.
const INTERVAL: Duration = Duration::from_millis(5);
/// The time limit of a notification.
const LIMIT: Duration = Duration::from_secs(1);

/// Sends notifications of one process; those of the same moment together.
#[derive(Clone, Debug)]
pub(super) struct Notifications {
    pool: ConnectionPool,
    runtime: Handle,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    channels: BTreeSet<&'static str>,
    is_sending: bool,
}

impl Notifications {
    pub(super) fn new(pool: ConnectionPool, runtime: Handle) -> Self {
        Self {
            pool,
            runtime,
            state: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a notification on this channel soon, without waiting for it.
    pub(super) fn send(&self, channel: &'static str) {
        let mut state = self.state();
        state.channels.insert(channel);
        if !std::mem::replace(&mut state.is_sending, true) {
            self.runtime.spawn(self.clone().send_pending());
        }
    }

    async fn send_pending(self) {
        while let Some(channels) = self.take() {
            if let Err(error) = self.send_now(&channels).await {
                tracing::debug!(%error, "a notification was lost");
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// The channels to notify; `None` if there are none, and this task ends.
    fn take(&self) -> Option<Vec<&'static str>> {
        let mut state = self.state();
        state.is_sending = !state.channels.is_empty();
        let channels = std::mem::take(&mut state.channels);
        state.is_sending.then(|| channels.into_iter().collect())
    }

    async fn send_now(&self, channels: &[&'static str]) -> Result<(), DatabaseError> {
        let deadline = Deadline::after(LIMIT);
        let mut session = self.pool.acquire(deadline).await?;
        let notify =
            sqlx::query("/* notify */ SELECT pg_notify(channel, '') FROM unnest($1::text[]) AS channel");
        let sent = deadline
            .timeout(notify.bind(channels).execute(session.connection()))
            .await;
        let sent = sent.map(|sent| sent.map(drop).map_err(TransactionError::<DatabaseError>::from));
        session.finish(sent).map_err(TransactionError::into_refusal)
    }
}
