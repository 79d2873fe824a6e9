//! Redis holds nothing that cannot be lost. Down, slow, full or read-only, it costs a request a bounded
//! time and no error: every call may come back empty.

mod last_known;
mod metrics;
mod pool;
mod rate_limit;
mod read_cache;
mod settings;

pub use self::settings::{CacheSettings, RedisSettings};
pub use last_known::{Kept, LastKnown};
pub use metrics::CacheMetrics;
pub use rate_limit::SharedQuota;
pub use read_cache::{Cacheable, Cached, Load, ReadCache, ReadCacheParts};

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use deadpool::managed::{Object, PoolError};
use deadpool_redis::redis::{FromRedisValue, RedisError, Value};
use resilience::{Breaker, BreakerSettings, BreakerState, Broken, Trip};
use runtime::{Lifecycle, RequestContext};
use telemetry::{client_span, metrics::DependencyMetrics};
use tracing::Instrument;

use self::pool::{Connections, new_pool};

/// How a call can end, as the metric says it.
const OUTCOMES: [&str; 4] = ["ok", "error", "timeout", "skipped"];

/// A connection for one call.
pub(crate) type Connection = Object<Connections>;

/// Redis behind a breaker and a time allowance per request.
#[derive(Clone, Debug)]
pub struct Redis {
    pool: deadpool::managed::Pool<Connections>,
    breaker: Breaker,
    allowance: Duration,
    refused_at: Arc<AtomicU64>,
    metrics: DependencyMetrics,
}

/// Why a call gave nothing; only for the log and the metric.
#[derive(Debug, thiserror::Error)]
enum RedisFault {
    #[error("no connection: {0}")]
    NoConnection(PoolError<RedisError>),
    #[error("timed out")]
    TimedOut,
    #[error(transparent)]
    Failed(RedisError),
}

impl RedisFault {
    fn is_timeout(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Failed(error) => error.is_timeout(),
            Self::NoConnection(PoolError::Backend(error)) => error.is_timeout(),
            Self::NoConnection(_) => false,
        }
    }
}

impl Redis {
    /// A pool that connects when it is needed.
    ///
    /// # Errors
    /// When `redis.url` cannot be parsed.
    pub fn new(
        settings: &RedisSettings,
        lifecycle: &Lifecycle,
        metrics: DependencyMetrics,
    ) -> anyhow::Result<Self> {
        let pool = new_pool(settings, lifecycle.runtime().clone())?;
        let breaker = BreakerSettings {
            trip: Trip::Consecutive(settings.breaker_failures),
            open_for: settings.breaker_open,
        };
        metrics.announce("redis", &OUTCOMES);
        Ok(Self {
            pool,
            breaker: Breaker::new(breaker),
            allowance: settings.timeout,
            refused_at: Arc::default(),
            metrics,
        })
    }

    /// Calls Redis for a request, within what is left of the request's allowance; nothing when it fails.
    pub(crate) async fn call<T, F>(
        &self,
        context: &RequestContext,
        operation: &'static str,
        command: impl FnOnce(Connection) -> F + Send + 'static,
    ) -> Option<T>
    where
        T: FromRedisValue,
        F: Future<Output = Result<Value, RedisError>> + Send,
    {
        let limit = context.redis_time_left(self.allowance);
        let patience = context.deadline().remaining();
        if limit.is_zero() || patience.is_zero() {
            return None;
        }
        let started = Instant::now();
        let answer = self.call_within(limit, patience, operation, command).await;
        context.spent_on_redis(started.elapsed());
        answer
    }

    /// Calls Redis for work that belongs to no single request.
    pub(crate) async fn call_in_background<T, F>(
        &self,
        operation: &'static str,
        command: impl FnOnce(Connection) -> F + Send + 'static,
    ) -> Option<T>
    where
        T: FromRedisValue,
        F: Future<Output = Result<Value, RedisError>> + Send,
    {
        self.call_within(self.allowance, Duration::MAX, operation, command)
            .await
    }

    async fn call_within<T, F>(
        &self,
        limit: Duration,
        patience: Duration,
        operation: &'static str,
        command: impl FnOnce(Connection) -> F + Send + 'static,
    ) -> Option<T>
    where
        T: FromRedisValue,
        F: Future<Output = Result<Value, RedisError>> + Send,
    {
        let started = Instant::now();
        let span = client_span!(
            "redis",
            otel.name = operation,
            db.system.name = "redis",
            db.operation.name = operation,
        );
        let pool = self.pool.clone();
        // The limit is inside the breaker: a call dropped from outside is not counted. That is just what a caller in a
        // hurry needs: its patience says nothing about Redis.
        let call = self.breaker.call(async move {
            let attempt = async {
                let connection = pool.get().await.map_err(RedisFault::NoConnection)?;
                command(connection).await.map_err(RedisFault::Failed)
            };
            tokio::time::timeout(limit, attempt)
                .await
                .unwrap_or(Err(RedisFault::TimedOut))
        });
        let (answer, outcome) = match tokio::time::timeout(patience, call)
            .instrument(span.clone())
            .await
        {
            Err(_) => (None, "timeout"),
            Ok(Ok(value)) => (T::from_redis_value(value).ok(), "ok"),
            Ok(Err(Broken::Open)) => (None, "skipped"),
            Ok(Err(Broken::Failed(fault))) => {
                tracing::warn!(%fault, "redis gave no answer; going on without it");
                self.judge(&fault);
                let outcome = if fault.is_timeout() { "timeout" } else { "error" };
                telemetry::failed(&span, outcome);
                (None, outcome)
            }
        };
        self.metrics.called("redis", outcome, started.elapsed());
        answer
    }

    /// A lost connection means that the idle ones are lost too; an error reply means that changes do not arrive.
    fn judge(&self, fault: &RedisFault) {
        match fault {
            RedisFault::Failed(error) if !error.is_unrecoverable_error() && !error.is_io_error() => {
                self.missed_a_change();
            }
            _ => {
                self.pool.retain(|_, _| false);
            }
        }
    }

    /// A change did not arrive: whatever was stored before may be out of date from now on.
    pub(crate) fn missed_a_change(&self) {
        self.refused_at.fetch_max(now_millis(), Ordering::Relaxed);
    }

    /// Whether every change since this moment (milliseconds since 1970) has arrived, as far as this process knows.
    pub(crate) fn has_every_change_since(&self, stored: u64) -> bool {
        stored > self.refused_at.load(Ordering::Relaxed)
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> bool {
        let pong = self.call_in_background::<String, _>("PING", |mut connection| async move {
            deadpool_redis::redis::cmd("PING")
                .query_async(&mut *connection)
                .await
        });
        pong.await.is_some()
    }

    /// The breaker's state.
    pub fn breaker(&self) -> BreakerState {
        self.breaker.state()
    }

    /// Closes the pool.
    pub fn close(&self) {
        self.pool.close();
    }
}

/// Milliseconds since 1970.
fn now_millis() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis() as u64
}
