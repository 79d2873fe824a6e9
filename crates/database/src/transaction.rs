//! The connection of a unit of work, and the actions after its commit.

use std::{
    fmt,
    future::Future,
    ops::{Deref, DerefMut},
    panic::AssertUnwindSafe,
    sync::{Mutex, PoisonError},
};

use futures_util::{FutureExt, future::BoxFuture};
use sqlx::PgConnection;

use crate::{DatabaseError, TransactionError, notifications::Notifications};

/// The outcome of a transaction that took effect, or may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// The transaction was committed.
    Committed,
    /// The connection was lost, or the deadline passed, after COMMIT was sent: the transaction may have been committed.
    Unknown,
}

impl CommitOutcome {
    /// The outcome of a transaction with this result; `None` if it had no effect.
    pub(super) fn of<T, R>(result: &Result<T, TransactionError<R>>) -> Option<Self> {
        match result {
            Ok(_) | Err(TransactionError::RefusedAndRecorded(_)) => Some(Self::Committed),
            Err(TransactionError::Failed(DatabaseError::OutcomeUnknown(_))) => Some(Self::Unknown),
            Err(_) => None,
        }
    }

    /// The outcome of a statement outside a transaction, which commits by itself; `None` if it had no effect.
    pub(super) fn of_statement<T, R>(result: &Result<T, TransactionError<R>>) -> Option<Self> {
        match result {
            Err(TransactionError::Failed(
                DatabaseError::Unavailable(_) | DatabaseError::DeadlineExceeded,
            )) => Some(Self::Unknown),
            result => Self::of(result),
        }
    }
}

/// The connection of a unit of work, and the actions to run after the commit. Dereferences to the connection.
pub struct Transaction<'t> {
    connection: &'t mut PgConnection,
    after: &'t AfterCommit,
}

impl<'t> Transaction<'t> {
    pub(super) fn new(connection: &'t mut PgConnection, after: &'t AfterCommit) -> Self {
        Self { connection, after }
    }

    /// Registers an action that runs after the transaction was committed, or may have been, such as a cache update. The
    /// action runs once, however often the work is retried, and never after a rollback. In
    /// [`Database::transaction`](crate::Database::transaction) it runs even if the client disconnects. The response
    /// waits for it. A panic of the action is logged and does not change the result.
    pub fn after_commit<F>(&mut self, action: impl FnOnce(CommitOutcome) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let action: Action = Box::new(move |outcome| Box::pin(action(outcome)));
        self.after.actions().push(action);
    }

    /// Sends a notification (`NOTIFY`) on this channel after the commit. Notifications of one process are sent together,
    /// outside the transaction: commits with a `NOTIFY` would queue behind a lock of the whole Postgres server. A
    /// notification can be lost, and nothing waits for it.
    pub fn notify(&mut self, channel: &'static str) {
        let notifications = self.after.notifications.clone();
        self.after_commit(move |_| {
            notifications.send(channel);
            std::future::ready(())
        });
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}

impl Deref for Transaction<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection
    }
}

type Action = Box<dyn FnOnce(CommitOutcome) -> BoxFuture<'static, ()> + Send>;

/// The actions that the last attempt registered.
pub(super) struct AfterCommit {
    actions: Mutex<Vec<Action>>,
    notifications: Notifications,
}

impl AfterCommit {
    pub(super) fn new(notifications: &Notifications) -> Self {
        Self {
            actions: Mutex::default(),
            notifications: notifications.clone(),
        }
    }

    fn actions(&self) -> std::sync::MutexGuard<'_, Vec<Action>> {
        self.actions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Discards the actions of an earlier attempt, which was rolled back.
    pub(super) fn clear(&self) {
        self.actions().clear();
    }

    /// Runs the actions in order of registration; runs none without an outcome.
    pub(super) async fn run(self, outcome: Option<CommitOutcome>) {
        let Some(outcome) = outcome else { return };
        let actions = self.actions.into_inner().unwrap_or_else(PoisonError::into_inner);
        for action in actions {
            let action = AssertUnwindSafe(async move { action(outcome).await });
            if action.catch_unwind().await.is_err() {
                tracing::error!("an after-commit action panicked; the result of the transaction stands");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_commit_actions_run_if_a_refusal_was_recorded_and_not_if_it_was_rolled_back() {
        let outcome = |error| CommitOutcome::of::<(), &str>(&Err(error));
        assert_eq!(
            outcome(TransactionError::RefusedAndRecorded("gone")),
            Some(CommitOutcome::Committed)
        );
        assert_eq!(outcome(TransactionError::Refused("gone")), None);
    }
}
