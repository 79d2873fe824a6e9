//! The connection of a unit of work, and what happens after its commit.

use std::{
    fmt,
    future::Future,
    ops::{Deref, DerefMut},
    panic::AssertUnwindSafe,
    sync::{Mutex, PoisonError},
};

use futures_util::{FutureExt, future::BoxFuture};
use sqlx::PgConnection;

use crate::{Fault, TransactionError};

/// How a transaction ended that may have had an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was committed.
    Committed,
    /// The connection was lost after COMMIT was sent: it may have been committed.
    Unknown,
}

impl Ended {
    /// How a transaction ended; none where it had no effect.
    pub(super) fn of<T, R>(result: &Result<T, TransactionError<R>>) -> Option<Self> {
        match result {
            Ok(_) => Some(Self::Committed),
            Err(TransactionError::Failed(Fault::OutcomeUnknown(_))) => Some(Self::Unknown),
            Err(_) => None,
        }
    }

    /// How a statement outside of a transaction ended: it commits by itself.
    pub(super) fn of_statement<T, R>(result: &Result<T, TransactionError<R>>) -> Option<Self> {
        match result {
            Err(TransactionError::Failed(Fault::Unavailable(_) | Fault::DeadlineExceeded)) => {
                Some(Self::Unknown)
            }
            result => Self::of(result),
        }
    }
}

/// The connection of a unit of work, to which it dereferences, and the actions that follow the commit.
pub struct Transaction<'t> {
    connection: &'t mut PgConnection,
    after: &'t AfterCommit,
}

impl<'t> Transaction<'t> {
    pub(super) fn new(connection: &'t mut PgConnection, after: &'t AfterCommit) -> Self {
        Self { connection, after }
    }

    /// Runs `action` once the transaction was committed, or may have been: a cache is brought up to date. It runs once,
    /// however often the work was repeated, and never after a rollback; in [`Database::transaction`](crate::Database) also
    /// when the caller has hung up. The response waits for it. An action that panics is logged; it changes nothing about
    /// the result.
    pub fn after_commit<F>(&mut self, action: impl FnOnce(Ended) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let action: Action = Box::new(move |ended| Box::pin(action(ended)));
        self.after.actions().push(action);
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

type Action = Box<dyn FnOnce(Ended) -> BoxFuture<'static, ()> + Send>;

/// The actions of the last attempt.
#[derive(Default)]
pub(super) struct AfterCommit(Mutex<Vec<Action>>);

impl AfterCommit {
    fn actions(&self) -> std::sync::MutexGuard<'_, Vec<Action>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the actions of an earlier attempt, which was rolled back.
    pub(super) fn clear(&self) {
        self.actions().clear();
    }

    /// Runs the actions in their order; none where the transaction had no effect.
    pub(super) async fn run(self, ended: Option<Ended>) {
        let Some(ended) = ended else { return };
        let actions = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        for action in actions {
            let action = AssertUnwindSafe(async move { action(ended).await });
            if action.catch_unwind().await.is_err() {
                tracing::error!("an action after a transaction panicked; the transaction's result stands");
            }
        }
    }
}
