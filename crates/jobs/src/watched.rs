//! The library's way to the database, watched: it has no deadlines of its own, and where a query fails it may keep
//! quiet, or leave a job locked by a worker that lives on. After any failure the worker is built anew.

use std::{
    any::Any,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use graphile_worker::{
    BoxFuture, DatabaseDriver, DbError, DbExecutor, DbParams, DbRow, DbTransaction, Notification,
    NotificationStream, sqlx::SqlxDatabase,
};
use tokio::sync::Notify;

use super::worker::LEASE;

/// Longer than any query of the library takes on a healthy database.
const QUERY_LIMIT: Duration = Duration::from_secs(5);
/// The library can lose a wake-up among its own tasks; a pulse brings it back.
const PULSE: Duration = Duration::from_secs(1);
/// `EX_TEMPFAIL` (sysexits.h): whoever supervises the process starts it again.
const EX_TEMPFAIL: i32 = 75;

/// What the driver has seen.
pub(super) struct Health {
    broken: AtomicBool,
    noticed: Notify,
    last_beat: Mutex<Option<Instant>>,
}

impl Health {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            broken: AtomicBool::new(false),
            noticed: Notify::new(),
            last_beat: Mutex::new(None),
        })
    }

    /// Waits until a query has failed.
    pub(super) async fn broken(&self) {
        while !self.broken.load(Ordering::Acquire) {
            self.noticed.notified().await;
        }
    }

    fn failed(&self) {
        self.broken.store(true, Ordering::Release);
        self.noticed.notify_one();
    }

    /// A process that stood still for longer than its lease has lost its jobs to another one: it must not go on.
    fn beat(&self) {
        let now = Instant::now();
        let mut last = self.last_beat.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gap) = last.map(|last| now - last).filter(|gap| *gap > LEASE) {
            tracing::error!(?gap, lease = ?LEASE, "this process was suspended for longer than its lease; exiting");
            #[expect(clippy::disallowed_methods, reason = "its jobs belong to another process")]
            std::process::exit(EX_TEMPFAIL);
        }
        *last = Some(now);
    }
}

#[derive(Clone)]
pub(super) struct Watched {
    inner: SqlxDatabase,
    health: Arc<Health>,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl Watched {
    pub(super) fn new(inner: SqlxDatabase, health: Arc<Health>) -> Self {
        Self { inner, health }
    }

    async fn watch<T>(
        &self,
        sql: &str,
        query: impl Future<Output = Result<T, DbError>> + Send,
    ) -> Result<T, DbError> {
        if sql.contains("worker_heartbeat") {
            self.health.beat();
        }
        let result = match tokio::time::timeout(QUERY_LIMIT, query).await {
            Ok(result) => result,
            Err(_) => Err(DbError::new("no answer in time")),
        };
        if result.is_err() {
            self.health.failed();
        }
        result
    }
}

impl DbExecutor for Watched {
    fn execute<'a>(&'a self, sql: &'a str, params: DbParams) -> BoxFuture<'a, Result<u64, DbError>> {
        Box::pin(self.watch(sql, DbExecutor::execute(&self.inner, sql, params)))
    }

    fn fetch_all<'a>(&'a self, sql: &'a str, params: DbParams) -> BoxFuture<'a, Result<Vec<DbRow>, DbError>> {
        Box::pin(self.watch(sql, DbExecutor::fetch_all(&self.inner, sql, params)))
    }
}

impl DatabaseDriver for Watched {
    fn as_any(&self) -> &dyn Any {
        &self.inner
    }

    fn begin(&self) -> BoxFuture<'_, Result<DbTransaction, DbError>> {
        DatabaseDriver::begin(&self.inner)
    }

    fn listen<'a>(&'a self, channel: &'a str) -> BoxFuture<'a, Result<Option<NotificationStream>, DbError>> {
        Box::pin(async move {
            let Some(notifications) = DatabaseDriver::listen(&self.inner, channel).await? else {
                return Ok(None);
            };
            let health = self.health.clone();
            let notifications = notifications.inspect(move |notification| {
                if notification.is_err() {
                    health.failed();
                }
            });
            let pulse = stream::unfold(channel.to_owned(), |channel| async move {
                tokio::time::sleep(PULSE).await;
                let notification = Notification {
                    channel: channel.clone(),
                    payload: "{\"r\":0,\"count\":1}".to_owned(),
                };
                Some((Ok(notification), channel))
            });
            let both: NotificationStream = Box::pin(stream::select(notifications, pulse));
            Ok(Some(both))
        })
    }
}
