//! A pool like `deadpool-redis`, with two differences: connections live on the runtime that outlives every server
//! thread, and a recently used connection is not pinged before reuse.

use std::time::Duration;

use deadpool::managed::{Manager, Metrics as Usage, Pool, RecycleResult};
use deadpool_redis::redis::{AsyncConnectionConfig, RedisError, aio::MultiplexedConnection};
use settings::ExposeSecret;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::RedisSettings;

const PING_AFTER_IDLE: Duration = Duration::from_secs(30);

/// Opens connections, and checks them before reuse.
pub(crate) struct Connections {
    inner: Arc<deadpool_redis::Manager>,
    runtime: Handle,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The inner manager would print the address, including the password.
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

pub(super) fn new_pool(settings: &RedisSettings, runtime: Handle) -> anyhow::Result<Pool<Connections>> {
    let limits = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(settings.timeout))
        .set_response_timeout(Some(settings.timeout));
    let inner = deadpool_redis::Manager::new_with_config(settings.url.expose_secret(), limits)
        .map_err(|_| anyhow::anyhow!("redis.url is not a valid Redis address"))?;
    let connections = Connections {
        inner: Arc::new(inner),
        runtime,
    };
    Ok(Pool::builder(connections).max_size(settings.pool_size).build()?)
}

impl Manager for Connections {
    type Type = MultiplexedConnection;
    type Error = RedisError;

    async fn create(&self) -> Result<MultiplexedConnection, RedisError> {
        let inner = self.inner.clone();
        let connect = self.runtime.spawn(async move { inner.create().await });
        AbortOnDropHandle::new(connect)
            .await
            .map_err(|error| std::io::Error::other(error.to_string()))?
    }

    async fn recycle(
        &self,
        connection: &mut MultiplexedConnection,
        usage: &Usage,
    ) -> RecycleResult<RedisError> {
        if usage.last_used() > PING_AFTER_IDLE {
            self.inner.recycle(connection, usage).await
        } else {
            Ok(())
        }
    }
}
