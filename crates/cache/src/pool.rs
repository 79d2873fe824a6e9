//! A pool like `deadpool-redis`, with two differences: connections live on the runtime that outlives every server
//! thread, and a recently used connection is not pinged before reuse.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use deadpool::managed::{Manager, Metrics as Usage, Pool, RecycleError, RecycleResult};
use deadpool_redis::redis::{AsyncConnectionConfig, RedisError, aio::MultiplexedConnection};
use futures_util::FutureExt;
use resilience::{Late, LateLimits};
use tokio::runtime::Handle;

use crate::RedisSettings;

const PING_AFTER_IDLE: Duration = Duration::from_secs(30);

/// A connection, and whether it must not be used again.
#[derive(Clone, Debug)]
pub(crate) struct PooledConnection {
    pub(crate) connection: MultiplexedConnection,
    suspect: Suspect,
}

/// Marks a connection as lost, for example because a call did not end in time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Suspect(Arc<AtomicBool>);

impl Suspect {
    pub(crate) fn mark(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl PooledConnection {
    pub(crate) fn suspect(&self) -> Suspect {
        self.suspect.clone()
    }
}

/// Opens connections, and checks them before reuse.
pub(crate) struct Connections {
    inner: Arc<deadpool_redis::Manager>,
    pub(crate) opening: Late<MultiplexedConnection>,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The inner manager would print the address, including the password.
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

pub(super) fn new_pool(settings: &RedisSettings, runtime: Handle) -> anyhow::Result<Pool<Connections>> {
    let limits = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(settings.connect_timeout))
        // Each call has its own limit.
        .set_response_timeout(None);
    let inner = deadpool_redis::Manager::new_with_config(settings.address()?, limits)?;
    let limits = LateLimits {
        attempts: settings.pool_size,
        kept: settings.pool_size,
        keep_for: PING_AFTER_IDLE,
    };
    let connections = Connections {
        inner: Arc::new(inner),
        opening: Late::new(limits, runtime),
    };
    Ok(Pool::builder(connections).max_size(settings.pool_size).build()?)
}

impl Manager for Connections {
    type Type = PooledConnection;
    type Error = RedisError;

    /// The attempt continues after its caller has timed out, and a later caller takes the connection.
    async fn create(&self) -> Result<PooledConnection, RedisError> {
        let inner = self.inner.clone();
        let opened = self.opening.open(|| async move { inner.create().await }.boxed());
        let opened = opened.await;
        let connection = opened.ok_or_else(|| std::io::Error::other("this process is shutting down"))??;
        Ok(PooledConnection {
            connection,
            suspect: Suspect::default(),
        })
    }

    async fn recycle(&self, connection: &mut PooledConnection, usage: &Usage) -> RecycleResult<RedisError> {
        if connection.suspect.0.load(Ordering::Relaxed) {
            Err(RecycleError::message("a call did not end in time"))
        } else if usage.last_used() > PING_AFTER_IDLE {
            self.inner.recycle(&mut connection.connection, usage).await
        } else {
            Ok(())
        }
    }
}
