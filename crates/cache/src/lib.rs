//! Redis, which holds nothing that must not be lost. If Redis is down, slow, full or read-only, a request loses a
//! bounded amount of time and gets no error: every call may return nothing.

mod fallback_cache;
mod metrics;
mod pool;
mod rate_limit;
mod read_cache;
mod settings;

pub use self::settings::{CacheSettings, RedisSettings};
pub use fallback_cache::{FallbackCache, FallbackValue};
pub use metrics::CacheMetrics;
pub use rate_limit::SharedQuota;
pub use read_cache::{Cacheable, Cached, Load, ReadCache, ReadCacheParts};

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use database::PoolMetrics;
use deadpool::managed::{Object, PoolError};
use deadpool_redis::redis::{FromRedisValue, RedisError, Value, cmd};
use resilience::{Breaker, BreakerError, BreakerSettings, BreakerState, TripPolicy};
use runtime::{Lifecycle, RequestContext};
use telemetry::{client_span, metrics::DependencyMetrics};
use tracing::Instrument;

use self::pool::{Connections, new_pool};

/// The outcomes of a call, as metric labels.
const OUTCOMES: [&str; 4] = ["ok", "error", "timeout", "skipped"];

/// A connection for one call.
pub(crate) type Connection = Object<Connections>;

/// A Redis client with a circuit breaker and a time budget per request.
#[derive(Clone, Debug)]
pub struct Redis {
    pool: deadpool::managed::Pool<Connections>,
    breaker: Breaker,
    time_budget: Duration,
    distrust_before: Arc<AtomicU64>,
    metrics: DependencyMetrics,
}

/// Why a call gave no result. Only the log and the metric show it.
#[derive(Debug, thiserror::Error)]
enum RedisCallError {
    #[error("no connection: {0}")]
    NoConnection(PoolError<RedisError>),
    #[error("timed out")]
    TimedOut,
    #[error(transparent)]
    Failed(RedisError),
}

impl RedisCallError {
    fn is_timeout(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Failed(error) | Self::NoConnection(PoolError::Backend(error)) => error.is_timeout(),
            Self::NoConnection(_) => false,
        }
    }
}

impl Redis {
    /// A client that connects on demand.
    ///
    /// # Errors
    /// When `redis.url` cannot be parsed, or `redis.root_certificate` cannot be read.
    pub fn new(
        settings: &RedisSettings,
        lifecycle: &Lifecycle,
        metrics: DependencyMetrics,
    ) -> anyhow::Result<Self> {
        let pool = new_pool(settings, lifecycle.runtime().clone())?;
        let breaker = BreakerSettings {
            trip: TripPolicy::ConsecutiveFailures(settings.breaker_failure_threshold),
            open_duration: settings.breaker_open_duration,
        };
        metrics.announce("redis", &OUTCOMES);
        Ok(Self {
            pool,
            breaker: Breaker::new(breaker),
            time_budget: settings.timeout,
            distrust_before: Arc::default(),
            metrics,
        })
    }

    /// Calls Redis for a request, within the rest of the request's time budget for Redis; `None` if the call fails.
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
        let limit = context.redis_time_left(self.time_budget);
        let time_left = context.deadline().remaining();
        if limit.is_zero() || time_left.is_zero() {
            return None;
        }
        let started = Instant::now();
        // What an earlier call has left of the budget is no measure of Redis.
        let patience = if limit < self.time_budget {
            limit.min(time_left)
        } else {
            time_left
        };
        let value = self
            .call_within(self.time_budget, patience, operation, command)
            .await;
        context.spent_on_redis(started.elapsed());
        value
    }

    /// Reads the text at `key` for a request; `None` if there is none or Redis is unavailable.
    pub(crate) async fn get(&self, context: &RequestContext, key: String) -> Option<String> {
        let text: Option<Option<String>> = self
            .call(context, "GET", move |mut connection| async move {
                cmd("GET").arg(key).query_async(&mut connection.connection).await
            })
            .await;
        text?
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
        self.call_within(self.time_budget, Duration::MAX, operation, command)
            .await
    }

    async fn call_within<T, F>(
        &self,
        limit: Duration,
        time_left: Duration,
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
        // The limit is inside the breaker, so that a timeout counts as a failure. The request's deadline is outside,
        // where it does not count: a request that runs out of time says nothing about Redis.
        let call = self.breaker.call(async move {
            let in_use = OnceLock::new();
            let attempt = async {
                let connection = pool.get().await.map_err(RedisCallError::NoConnection)?;
                let _ = in_use.set((connection.suspect(), Instant::now()));
                command(connection).await.map_err(RedisCallError::Failed)
            };
            let result = tokio::time::timeout(limit, attempt).await;
            result.unwrap_or_else(|_| {
                // It may never respond again, unless opening it took most of the time.
                if let Some((connection, since)) = in_use.get()
                    && since.elapsed() >= limit / 2
                {
                    connection.mark();
                }
                Err(RedisCallError::TimedOut)
            })
        });
        let (value, outcome) = match tokio::time::timeout(time_left, call)
            .instrument(span.clone())
            .await
        {
            Err(_) => (None, "timeout"),
            Ok(Ok(value)) => (T::from_redis_value(value).ok(), "ok"),
            Ok(Err(BreakerError::Open(_))) => (None, "skipped"),
            Ok(Err(BreakerError::Failed(error))) => {
                tracing::warn!(%error, "Redis unavailable; continuing without it");
                self.on_error(&error);
                let outcome = if error.is_timeout() { "timeout" } else { "error" };
                telemetry::failed(&span, outcome);
                (None, outcome)
            }
        };
        self.metrics.called("redis", outcome, started.elapsed());
        value
    }

    /// Reacts to a failed call. A lost connection means that the idle ones are lost too; an error reply means that
    /// changes are not stored. A call that timed out says nothing about the idle ones.
    fn on_error(&self, error: &RedisCallError) {
        match error {
            RedisCallError::Failed(error) if !error.is_unrecoverable_error() && !error.is_io_error() => {
                self.invalidate_before_now();
            }
            RedisCallError::TimedOut => {}
            _ => {
                self.pool.retain(|_, _| false);
                self.pool.manager().opening.clear();
            }
        }
    }

    /// Distrusts, in this process, everything stored until now, because a change may not have reached Redis.
    pub(crate) fn invalidate_before_now(&self) {
        self.distrust_before.fetch_max(now_millis(), Ordering::Relaxed);
    }

    /// Whether every change since `stored` (Unix time in milliseconds) reached Redis, as far as this process knows.
    pub(crate) fn is_trusted(&self, stored: u64) -> bool {
        stored > self.distrust_before.load(Ordering::Relaxed)
    }

    /// Updates the gauges of the pool before a scrape.
    pub fn update_metrics(&self, metrics: &PoolMetrics) {
        let status = self.pool.status();
        let idle = status.available.min(status.size);
        metrics.set_connections("redis", status.size - idle, idle, status.waiting, status.max_size);
    }

    /// Whether Redis responds.
    pub async fn ping(&self) -> bool {
        let pong = self.call_in_background::<String, _>("PING", |mut connection| async move {
            cmd("PING").query_async(&mut connection.connection).await
        });
        pong.await.is_some()
    }

    /// The version of the server; `None` if its description has none.
    ///
    /// # Errors
    /// The reason why the server does not respond within `limit`.
    pub async fn version(&self, limit: Duration) -> anyhow::Result<Option<String>> {
        let info = async {
            let mut connection = self.pool.get().await?;
            let mut info = cmd("INFO");
            let info = info
                .arg("server")
                .query_async::<String>(&mut connection.connection);
            anyhow::Ok(info.await?)
        };
        let info = tokio::time::timeout(limit, info).await??;
        // Valkey answers with its own name beside the version of Redis that it is compatible with.
        let field = |name: &str| {
            info.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
        };
        let version = field("valkey_version:").or(field("redis_version:"));
        Ok(version.map(str::to_owned))
    }

    /// The state of the circuit breaker.
    pub fn breaker(&self) -> BreakerState {
        self.breaker.state()
    }

    /// Closes the pool.
    pub fn close(&self) {
        self.pool.close();
    }
}

/// The current Unix time in milliseconds.
fn now_millis() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
