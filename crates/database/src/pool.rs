//! The connection pool: `deadpool` around plain connections. The pool of sqlx pings on every return and cannot
//! distinguish "all in use" from "cannot connect".

use std::{
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool::managed::{Manager, Metrics as Usage, Pool, PoolError, RecycleError, RecycleResult};
use futures_util::FutureExt;
use resilience::{Deadline, Late, LateLimits};
use runtime::Tls;
use settings::{ExposeSecret, SecretString};
use sqlx::{
    Connection, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::runtime::Handle;

use super::{
    DatabaseError, Settings,
    error::{CONNECTION, sqlstate},
    session::Session,
};
use crate::PoolMetrics;

/// The timeout of one attempt to connect, which continues after its caller has timed out, so that a slow connect still
/// fills the pool.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The maximum number of late connections: those opened after their caller had timed out, kept for the next caller.
const MAX_LATE: usize = 4;

/// A pool of connections, each with the timeouts from the settings.
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
        (name, size): (&str, usize),
        runtime: Handle,
        metrics: PoolMetrics,
    ) -> anyhow::Result<Self> {
        let connections = Connections {
            options: Arc::new(connect_options(settings, name)?),
            idle_check_after: settings.idle_check_after,
            max_age: settings.max_connection_age,
            opening: Late::new(
                LateLimits {
                    attempts: size,
                    kept: MAX_LATE,
                    keep_for: settings.idle_check_after,
                },
                runtime,
            ),
        };
        let pool = Pool::builder(connections).max_size(size).build()?;
        Ok(Self {
            pool,
            acquire_timeout: settings.acquire_timeout,
            metrics,
        })
    }

    /// Acquires a connection within the acquire timeout and the deadline.
    pub(super) async fn acquire(&self, deadline: Deadline) -> Result<Session, DatabaseError> {
        let started = Instant::now();
        let result = deadline
            .capped_at(self.acquire_timeout)
            .timeout(self.pool.get())
            .await;
        self.metrics.waited(started.elapsed());
        match result {
            Ok(Ok(connection)) => Ok(Session::new(connection, self.clone())),
            Ok(Err(PoolError::Backend(error))) => Err(self.connect_failed(error)),
            Ok(Err(_)) => {
                let closed = DatabaseError::from(sqlx::Error::PoolClosed);
                self.failed(&closed);
                Err(closed)
            }
            Err(_) if deadline.remaining().is_zero() => Err(DatabaseError::DeadlineExceeded),
            Err(_) => {
                self.metrics.timed_out();
                let all_in_use = self.pool.status().size >= self.pool.status().max_size;
                if all_in_use {
                    return Err(DatabaseError::PoolExhausted);
                }
                let error = connect_timed_out();
                self.metrics.failed(&sqlstate(&error));
                Err(error.into())
            }
        }
    }

    /// Classifies and counts a failed attempt to connect. It is never a bug, since no statement was sent. If the server
    /// itself refused, the idle connections are kept.
    fn connect_failed(&self, error: sqlx::Error) -> DatabaseError {
        let (mut state, refused_by_server) = (sqlstate(&error), error.as_database_error().is_some());
        let error = match DatabaseError::from(error) {
            DatabaseError::Bug(cause) => {
                CONNECTION.clone_into(&mut state);
                DatabaseError::Unavailable(cause)
            }
            error => error,
        };
        self.metrics.failed(&state);
        if !refused_by_server {
            self.close_idle();
        }
        error
    }

    /// Counts an error. If it makes the connection useless, the idle ones are presumed useless too and are closed.
    pub(super) fn failed(&self, error: &DatabaseError) {
        if let Some(state) = error.sqlstate() {
            self.metrics.failed(&state);
        }
        // After a switchover, the other connections lead to the read-only server, too; after a migration, they have the same
        // stale plans.
        if matches!(
            error,
            DatabaseError::Unavailable(_) | DatabaseError::ReadOnly(_) | DatabaseError::StalePlan(_)
        ) {
            self.close_idle();
        }
    }

    /// Opens a connection that does not belong to the pool.
    pub(super) async fn connect(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect_with(&self.pool.manager().options).await
    }

    fn close_idle(&self) {
        self.pool.retain(|_, _| false);
        self.pool.manager().opening.clear();
    }

    pub(super) fn close(&self) {
        self.pool.close();
        self.pool.manager().opening.clear();
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

/// The options to connect with: the address, the `application_name`, and the timeouts, which the server enforces on every
/// statement. A pooler refuses the timeouts, or drops them: there, those of the role apply.
///
/// # Errors
/// When `database.url` cannot be parsed.
pub fn connect_options(settings: &Settings, name: &str) -> anyhow::Result<PgConnectOptions> {
    let options = address(settings, &settings.url, "database.url")?.application_name(name);
    // Since Postgres 12 it changes nothing, and poolers do not know it.
    let options = options.extra_float_digits(None);
    if settings.pooler {
        return Ok(options);
    }
    let timeouts = settings.server_timeouts();
    Ok(options.options(timeouts.map(|(name, timeout)| (name, timeout.as_millis().to_string()))))
}

/// The options of a command that changes the schema, which needs a session of its own.
pub(super) fn direct_options(settings: &Settings) -> anyhow::Result<PgConnectOptions> {
    match &settings.direct_url {
        Some(url) => address(settings, url, "database.direct_url"),
        None if settings.pooler => {
            anyhow::bail!("database.direct_url is not set; migrations need a connection past the pooler")
        }
        None => address(settings, &settings.url, "database.url"),
    }
}

/// The address in the key `key`, with the encryption of the settings.
fn address(settings: &Settings, url: &SecretString, key: &str) -> anyhow::Result<PgConnectOptions> {
    // The library's message would repeat the address, including the password.
    let options = PgConnectOptions::from_str(url.expose_secret())
        .map_err(|_| anyhow::anyhow!("{key} is not a valid Postgres address"))?;
    let options = options.ssl_mode(match settings.encryption.tls {
        Tls::Verify => PgSslMode::VerifyFull,
        Tls::Require => PgSslMode::Require,
        Tls::Off => PgSslMode::Disable,
    });
    Ok(match &settings.encryption.root_certificate {
        Some(file) => options.ssl_root_cert(file),
        None => options,
    })
}

/// Opens connections, and checks them before reuse.
pub(super) struct Connections {
    options: Arc<PgConnectOptions>,
    idle_check_after: Duration,
    max_age: Duration,
    opening: Late<PgConnection>,
}

/// A connection of the pool.
pub(super) struct Pooled {
    pub(super) connection: PgConnection,
    expires_at: Instant,
}

impl Manager for Connections {
    type Type = Pooled;
    type Error = sqlx::Error;

    /// Connects on the runtime that outlives every server thread, so that no connection ends with a thread. The attempt
    /// continues after its caller has timed out, and a later caller takes the connection.
    async fn create(&self) -> Result<Pooled, sqlx::Error> {
        let options = self.options.clone();
        let opened = self.opening.open(|| {
            let connecting = async move {
                let connected = PgConnection::connect_with(&options);
                let connected = tokio::time::timeout(CONNECT_TIMEOUT, connected).await;
                connected.unwrap_or_else(|_| Err(connect_timed_out()))
            };
            connecting.boxed()
        });
        let connection = opened.await.ok_or(sqlx::Error::WorkerCrashed)??;
        // Varied, so that connections that were opened together are not replaced together.
        let age = self.max_age.mul_f64(0.8 + 0.4 * fastrand::f64());
        Ok(Pooled {
            connection,
            expires_at: Instant::now() + age,
        })
    }

    /// Replaces a connection that is too old. Pings one only if it was idle for so long that a firewall may have dropped
    /// it.
    async fn recycle(&self, pooled: &mut Pooled, usage: &Usage) -> RecycleResult<sqlx::Error> {
        if Instant::now() >= pooled.expires_at {
            return Err(RecycleError::message(
                "the connection has reached its longest age",
            ));
        }
        if usage.last_used() > self.idle_check_after {
            pooled.connection.ping().await?;
        }
        Ok(())
    }
}
