//! The connection of a unit of work, and what happens after its commit.

use std::{
    fmt,
    future::Future,
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
};

use futures_util::future::BoxFuture;
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
    /// None where it had no effect.
    pub(super) fn of<T, R>(result: &Result<T, TransactionError<R>>) -> Option<Self> {
        match result {
            Ok(_) => Some(Self::Committed),
            Err(TransactionError::Failed(Fault::OutcomeUnknown(_))) => Some(Self::Unknown),
            Err(_) => None,
        }
    }
}

/// What a unit of work runs its statements on: it dereferences to the connection.
pub struct Transaction<'t> {
    connection: &'t mut PgConnection,
    after: &'t AfterCommit,
}

impl<'t> Transaction<'t> {
    pub(super) fn new(connection: &'t mut PgConnection, after: &'t AfterCommit) -> Self {
        Self { connection, after }
    }

    /// Runs `action` once the transaction was committed, or may have been: a cache is brought up to date. It runs also when
    /// the caller has hung up, never after a rollback, and once, however often the work was repeated. It must not fail.
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

/// What the last attempt wants done after its commit.
#[derive(Default)]
pub(super) struct AfterCommit(Mutex<Vec<Action>>);

impl AfterCommit {
    fn actions(&self) -> std::sync::MutexGuard<'_, Vec<Action>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before each attempt: what an earlier one wanted has not happened.
    pub(super) fn clear(&self) {
        self.actions().clear();
    }

    /// In the order in which the work asked for it; nothing where the transaction had no effect.
    pub(super) async fn run(self, ended: Option<Ended>) {
        let Some(ended) = ended else { return };
        let actions = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        for action in actions {
            action(ended).await;
        }
    }
}
