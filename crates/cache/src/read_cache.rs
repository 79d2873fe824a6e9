//! The read cache: fresh entries save a query, stale ones replace a query that fails, and concurrent misses of one key
//! share one load.

use std::{fmt::Display, sync::Arc, time::Duration};

use database::{CommitOutcome, Database, DatabaseError, Transaction, UnitOfWork};
use deadpool_redis::redis::Script;
use resilience::{Deadline, SingleFlight};
use runtime::{Lifecycle, RequestContext};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Semaphore;
use tracing::Instrument;

use super::{CacheMetrics, CacheSettings, Redis, millis, now_millis};

/// Stores an entry unless a newer version is stored: a slow reader must not restore what a writer has changed.
const STORE: &str = r"
local stored = redis.call('GET', KEYS[1])
if stored and tonumber(string.match(stored, '^%d+')) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3], 'PX', ARGV[4])
return 1";

/// A value that a read cache can store. Its version grows with every change, so that an older value never replaces a
/// newer one.
pub trait Cacheable: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name of this kind of value in Redis keys.
    const KIND: &'static str;
    /// The type of the value's id.
    type Id: Display;

    /// The id of the value. Kind and id form the key.
    fn id(&self) -> Self::Id;

    /// The version of the value, which grows with every change.
    fn version(&self) -> i64;
}

/// A read of one value by its id.
pub trait Load: UnitOfWork<Output = Option<Self::Value>, Refusal = DatabaseError> + 'static {
    /// The type of the value that is read.
    type Value: Cacheable;

    /// The id of the value that is read: the same as its [`Cacheable::id`].
    fn id(&self) -> <Self::Value as Cacheable>::Id;
}

/// A value, with its age if it is stale and served because the database query failed.
#[derive(Clone, Debug)]
pub struct Cached<T> {
    /// The value.
    pub value: T,
    /// The age of the value if it is stale, otherwise `None`.
    pub stale_for: Option<Duration>,
}

/// A cache of one kind of value. Absent values are not cached. Clones share loads in flight.
#[derive(Clone, Debug)]
pub struct ReadCache<T> {
    prefix: String,
    redis: Redis,
    database: Database,
    flights: Arc<SingleFlight<String, Result<Option<T>, DatabaseError>>>,
    loads: Arc<Semaphore>,
    script: Arc<Script>,
    settings: CacheSettings,
    load_deadline: Duration,
    load_wait: Duration,
    lifecycle: Lifecycle,
    metrics: CacheMetrics,
}

/// The parts of a [`ReadCache`].
#[derive(Debug)]
pub struct ReadCacheParts<'s> {
    /// The service's name.
    pub service: &'s str,
    /// The settings of the section `cache`.
    pub settings: &'s CacheSettings,
    /// The time limit of one load, however many requests wait for it.
    pub load_deadline: Duration,
    /// The value of `database.acquire_timeout`.
    pub acquire_timeout: Duration,
    /// The Redis client that stores the entries.
    pub redis: Redis,
    /// The database that values are loaded from.
    pub database: Database,
    /// The lifecycle whose runtime runs the loads.
    pub lifecycle: Lifecycle,
    /// The counters of hits and misses.
    pub metrics: CacheMetrics,
}

impl<T: Cacheable> ReadCache<T> {
    /// A cache whose keys begin with the service's name and the kind of value.
    pub fn new(parts: ReadCacheParts<'_>) -> Self {
        Self {
            prefix: format!("{}:{}:", parts.service, T::KIND),
            redis: parts.redis,
            database: parts.database,
            flights: Arc::new(SingleFlight::new(parts.lifecycle.runtime().clone())),
            loads: Arc::new(Semaphore::new(parts.settings.max_concurrent_loads)),
            script: Arc::new(Script::new(STORE)),
            settings: parts.settings.clone(),
            load_deadline: parts.load_deadline,
            // Together with the wait for a connection, less than two acquire timeouts.
            load_wait: parts.acquire_timeout / 2,
            lifecycle: parts.lifecycle,
            metrics: parts.metrics,
        }
    }

    /// The value that `load` reads: from Redis if the entry is fresh, otherwise from the database, and if that fails
    /// from Redis if the entry is not older than `cache.max_stale`.
    ///
    /// # Errors
    /// The [`DatabaseError`] of the load, unless an entry is served instead; always a [`DatabaseError::Bug`].
    pub async fn read<L: Load<Value = T>>(
        &self,
        context: &RequestContext,
        load: L,
    ) -> Result<Option<Cached<T>>, DatabaseError> {
        let id = load.id().to_string();
        let cached = self.cached(context, &id).await;
        if let Some((value, age)) = &cached
            && *age <= self.settings.fresh_ttl
        {
            self.metrics.requested("hit");
            return Ok(Some(Cached {
                value: value.clone(),
                stale_for: None,
            }));
        }
        match self.load_shared(context, &id, load).await {
            Ok(value) => {
                self.metrics.requested("miss");
                Ok(value.map(|value| Cached {
                    value,
                    stale_for: None,
                }))
            }
            // A stale value would hide the bug.
            Err(error @ DatabaseError::Bug(_)) => Err(error),
            Err(error) => match cached.filter(|(_, age)| *age <= self.settings.max_stale) {
                Some((value, age)) => {
                    self.metrics.requested("stale");
                    tracing::warn!(%error, "database read failed; serving a stale value");
                    Ok(Some(Cached {
                        value,
                        stale_for: Some(age),
                    }))
                }
                None => Err(error),
            },
        }
    }

    /// [Puts](Self::put) a new version after `transaction` is committed. If the outcome is unknown, this process no
    /// longer trusts the entries stored before.
    pub fn update_after_commit(&self, transaction: &mut Transaction<'_>, context: &RequestContext, value: T) {
        let (cache, context) = (self.clone(), context.clone());
        transaction.after_commit(move |outcome| async move {
            match outcome {
                CommitOutcome::Committed => cache.put(&context, &value).await,
                CommitOutcome::Unknown => cache.invalidate(&value.id().to_string()),
            }
        });
    }

    /// Stores a new version within the rest of the request's time budget for Redis, unless a newer one is stored. If
    /// that fails, this process no longer trusts the entries stored before.
    pub async fn put(&self, context: &RequestContext, value: &T) {
        let id = value.id().to_string();
        // A read from now on must not join a load that began before the change.
        self.flights.forget(&id);
        if !self.store(Some(context), &id, value, now_millis()).await {
            self.redis.invalidate_before_now();
            // A second try, for the sake of other processes. The request does not wait for it.
            self.store_later(&id, value, now_millis());
        }
    }

    fn invalidate(&self, id: &str) {
        self.flights.forget(&id.to_owned());
        self.redis.invalidate_before_now();
    }

    fn store_later(&self, id: &str, value: &T, read_at: u64) {
        let (cache, id, value) = (self.clone(), id.to_owned(), value.clone());
        self.lifecycle.spawn_background(async move {
            cache.store(None, &id, &value, read_at).await;
        });
    }

    /// Stores a value as of `read_at`, unless a newer one is stored. Without a context, the call belongs to no request.
    /// Returns whether Redis responded.
    async fn store(&self, context: Option<&RequestContext>, id: &str, value: &T, read_at: u64) -> bool {
        let (script, key, entry) = (self.script.clone(), self.key(id), self.entry(value, read_at));
        let store = move |mut connection| async move { entry.store(&script, key, &mut connection).await };
        let stored: Option<i64> = match context {
            Some(context) => self.redis.call(context, "EVALSHA", store).await,
            None => self.redis.call_in_background("EVALSHA", store).await,
        };
        stored.is_some()
    }

    async fn cached(&self, context: &RequestContext, id: &str) -> Option<(T, Duration)> {
        let text = self.redis.get(context, self.key(id)).await?;
        let mut parts = text.splitn(3, ' ').skip(1);
        let stored: u64 = parts.next()?.parse().ok()?;
        if !self.redis.is_trusted(stored) {
            return None;
        }
        let value = serde_json::from_str(parts.next()?).ok()?;
        Some((value, Duration::from_millis(now_millis().saturating_sub(stored))))
    }

    async fn load_shared<W>(
        &self,
        context: &RequestContext,
        id: &str,
        load: W,
    ) -> Result<Option<T>, DatabaseError>
    where
        W: UnitOfWork<Output = Option<T>, Refusal = DatabaseError> + 'static,
    {
        let (cache, owned_id, span) = (self.clone(), id.to_owned(), context.span());
        let counting = context.clone();
        let flight = self.flights.run(id.to_owned(), move || {
            async move { cache.load(&owned_id, load, || counting.count_attempt()).await }.instrument(span)
        });
        let _timer = context.time_database();
        let loaded = context.deadline().timeout(flight).await;
        loaded.unwrap_or(Err(DatabaseError::DeadlineExceeded))
    }

    async fn load<W>(
        &self,
        id: &str,
        load: W,
        count_attempt: impl Fn() + Send + Sync,
    ) -> Result<Option<T>, DatabaseError>
    where
        W: UnitOfWork<Output = Option<T>, Refusal = DatabaseError>,
    {
        let _permit = tokio::time::timeout(self.load_wait, self.loads.acquire())
            .await
            .map_err(|_| DatabaseError::PoolExhausted)?;
        let read_at = now_millis();
        let value = self
            .database
            .run_idempotent(&load, Deadline::after(self.load_deadline), count_attempt)
            .await?;
        if let Some(value) = &value {
            self.store_later(id, value, read_at);
        }
        Ok(value)
    }

    fn key(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }

    fn entry(&self, value: &T, read_at: u64) -> Entry {
        Entry {
            version: value.version(),
            stored: read_at,
            json: serde_json::to_string(value).expect("cached values serialize"),
            ttl: millis(self.settings.max_stale),
        }
    }
}

struct Entry {
    version: i64,
    stored: u64,
    json: String,
    ttl: u64,
}

impl Entry {
    async fn store(
        self,
        script: &Script,
        key: String,
        connection: &mut super::Connection,
    ) -> Result<deadpool_redis::redis::Value, deadpool_redis::redis::RedisError> {
        let mut call = script.key(key);
        call.arg(self.version)
            .arg(self.stored)
            .arg(self.json)
            .arg(self.ttl);
        call.invoke_async(&mut connection.connection).await
    }
}
