//! The pool: `deadpool` around plain connections instead of sqlx's own pool, which pings on every return
//! and cannot tell "all in use" from "cannot connect".

use std::{
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use deadpool::managed::{Manager, Metrics as Usage, Pool, PoolError, RecycleResult};
use resilience::Deadline;
use settings::ExposeSecret;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, oneshot},
};

use super::{
    Fault, Settings,
    fault::{CONNECTION, sqlstate},
    session::Session,
};
use crate::PoolMetrics;

/// Nobody waits that long for a connection, but the next one may find it ready.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// As many as that wait for somebody to ask for them.
const MAX_LATE: usize = 4;

/// Connections with the limits of the configuration set on each.
#[derive(Clone)]
pub(super) struct ConnectionPool {
    pool: Pool<Connections>,
    acquire_timeout: Duration,
    metrics: PoolMetrics,
}

impl std::fmt::Debug for ConnectionPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionPool")
            .field("status", &self.pool.status())
            .finish_non_exhaustive()
    }
}

impl ConnectionPool {
    pub(super) fn new(
        settings: &Settings,
        size: usize,
        runtime: Handle,
        metrics: PoolMetrics,
    ) -> anyhow::Result<Self> {
        let connections = Connections {
            options: connect_options(settings)?,
            ping_after_idle: settings.ping_after_idle,
            runtime,
            late: Arc::default(),
            connecting: Arc::new(Semaphore::new(size)),
        };
        let pool = Pool::builder(connections).max_size(size).build()?;
        Ok(Self {
            pool,
            acquire_timeout: settings.acquire_timeout,
            metrics,
        })
    }

    /// A connection within the acquire timeout and the deadline.
    pub(super) async fn acquire(&self, deadline: Deadline) -> Result<Session, Fault> {
        let started = Instant::now();
        let result = deadline
            .at_most(self.acquire_timeout)
            .bound(self.pool.get())
            .await;
        self.metrics.waited(started.elapsed());
        match result {
            Ok(Ok(connection)) => Ok(Session::new(connection, self.clone())),
            Ok(Err(PoolError::Backend(error))) => Err(self.not_opened(error)),
            Ok(Err(_)) => {
                let closed = Fault::from(sqlx::Error::PoolClosed);
                self.failed(&closed);
                Err(closed)
            }
            Err(_) if deadline.remaining().is_zero() => Err(Fault::DeadlineExceeded),
            Err(_) => {
                self.metrics.timed_out();
                let all_in_use = self.pool.status().size >= self.pool.status().max_size;
                if all_in_use {
                    return Err(Fault::NoConnectionFree);
                }
                let error = connect_timed_out();
                self.metrics.failed(&sqlstate(&error));
                Err(error.into())
            }
        }
    }

    /// No connection could be opened: no statement has failed, so it is no bug. Where the server itself said no, those
    /// that are open go on.
    fn not_opened(&self, error: sqlx::Error) -> Fault {
        let (mut state, answered) = (sqlstate(&error), error.as_database_error().is_some());
        let fault = match Fault::from(error) {
            Fault::Bug(cause) => {
                state = CONNECTION.to_owned();
                Fault::Unavailable(cause)
            }
            fault => fault,
        };
        self.metrics.failed(&state);
        if !answered {
            self.forget_idle();
        }
        fault
    }

    /// Counts a fault. A lost connection means that the idle ones are lost too.
    pub(super) fn failed(&self, fault: &Fault) {
        if let Some(state) = fault.sqlstate() {
            self.metrics.failed(&state);
        }
        if matches!(fault, Fault::Unavailable(_)) {
            self.forget_idle();
        }
    }

    fn forget_idle(&self) {
        self.pool.retain(|_, _| false);
        self.pool.manager().forget_late();
    }

    pub(super) fn close(&self) {
        self.pool.close();
        self.pool.manager().forget_late();
    }

    pub(super) fn update_metrics(&self, name: &'static str) {
        let status = self.pool.status();
        let idle = status.available.min(status.size);
        self.metrics
            .set_connections(name, status.size - idle, idle, status.waiting, status.max_size);
    }
}

fn connect_timed_out() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(
        std::io::ErrorKind::TimedOut,
        "no connection within the acquire timeout",
    ))
}

/// The address with this service's timeouts, which the server enforces on every statement.
pub fn connect_options(settings: &Settings) -> anyhow::Result<PgConnectOptions> {
    let options = parse_url(settings)?;
    Ok(options.options([
        (
            "statement_timeout",
            settings.statement_timeout.as_millis().to_string(),
        ),
        ("lock_timeout", settings.lock_timeout.as_millis().to_string()),
        (
            "idle_in_transaction_session_timeout",
            settings.idle_in_transaction_timeout.as_millis().to_string(),
        ),
    ]))
}

pub(super) fn parse_url(settings: &Settings) -> anyhow::Result<PgConnectOptions> {
    // The library's message would repeat the address, password included.
    PgConnectOptions::from_str(settings.url.expose_secret())
        .map_err(|_| anyhow::anyhow!("database.url is not a valid Postgres address"))
}

/// Opens and checks connections.
pub(super) struct Connections {
    options: PgConnectOptions,
    ping_after_idle: Duration,
    runtime: Handle,
    /// Connections that were ready only after whoever asked for them had given up, and since when.
    late: Arc<Mutex<Vec<(Instant, PgConnection)>>>,
    /// As many as the pool has, also of those that nobody waits for any more.
    connecting: Arc<Semaphore>,
}

impl Connections {
    fn late(&self) -> Option<PgConnection> {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        late.retain(|(since, _)| since.elapsed() < self.ping_after_idle);
        late.pop().map(|(_, connection)| connection)
    }

    fn forget_late(&self) {
        self.late.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Manager for Connections {
    type Type = PgConnection;
    type Error = sqlx::Error;

    /// Connects on the runtime that outlives every server thread, so that no connection dies with one. Where
    /// connecting takes longer than anybody waits, the next one finds it done: giving up would never get there.
    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        if let Some(connection) = self.late() {
            return Ok(connection);
        }
        let place = self.connecting.clone().acquire_owned().await;
        let place = place.map_err(|_| sqlx::Error::PoolClosed)?;
        if let Some(connection) = self.late() {
            return Ok(connection);
        }
        let (options, late) = (self.options.clone(), self.late.clone());
        let (send, receive) = oneshot::channel();
        self.runtime.spawn(async move {
            let _place = place;
            let connected = tokio::time::timeout(CONNECT_LIMIT, PgConnection::connect_with(&options)).await;
            let connected = connected.unwrap_or_else(|_| Err(connect_timed_out()));
            if let Err(Ok(connection)) = send.send(connected) {
                let mut late = late.lock().unwrap_or_else(PoisonError::into_inner);
                if late.len() < MAX_LATE {
                    late.push((Instant::now(), connection));
                }
            }
        });
        receive.await.map_err(|_| sqlx::Error::WorkerCrashed)?
    }

    /// No round trip for a connection used a moment ago; a ping for one that firewalls may have forgotten.
    async fn recycle(&self, connection: &mut PgConnection, usage: &Usage) -> RecycleResult<sqlx::Error> {
        if usage.last_used() > self.ping_after_idle {
            connection.ping().await?;
        }
        Ok(())
    }
}
