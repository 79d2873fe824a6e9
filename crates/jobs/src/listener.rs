//! Listens for notifications of due runs. They are hints: a worker that gets none looks for runs every second.

use std::{sync::Arc, time::Duration};

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;

use crate::claim::CHANNEL;

/// The pause before a lost connection is replaced.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Wakes `wake` at each notification until it is dropped.
pub(crate) async fn listen(options: PgConnectOptions, wake: Arc<Notify>) {
    loop {
        if let Err(error) = listen_once(options.clone(), &wake).await {
            tracing::debug!(%error, "notifications of due jobs are lost; polling");
        }
        // No notification has arrived for what was enqueued in between.
        wake.notify_one();
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

async fn listen_once(options: PgConnectOptions, wake: &Notify) -> sqlx::Result<()> {
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    while listener.try_recv().await?.is_some() {
        wake.notify_one();
    }
    Ok(())
}
