//! The read cache: fresh entries spare the database, stale ones stand in for it, and many misses on one
//! key are one load.

use std::{fmt::Display, sync::Arc, time::Duration};

use database::{Database, Ended, Fault, Transaction, UnitOfWork};
use deadpool_redis::redis::{Script, cmd};
use resilience::{Deadline, SingleFlight};
use runtime::{Lifecycle, RequestContext};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Semaphore;
use tracing::Instrument;

use super::{CacheMetrics, CacheSettings, Redis, now_millis};

/// Stores an entry unless a newer version is there: a slow reader must not bring back what a writer changed.
const STORE: &str = r"
local held = redis.call('GET', KEYS[1])
if held and tonumber(string.match(held, '^%d+')) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3], 'PX', ARGV[4])
return 1";

/// What a read cache can hold. Its changes are numbered upwards, so that an older value never replaces a newer.
pub trait Cacheable: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Names this kind of value in Redis keys.
    const KIND: &'static str;
    /// The type of its ids.
    type Id: Display;

    /// Its id; with the kind it makes the key.
    fn id(&self) -> Self::Id;

    /// The number of the change that made this value.
    fn version(&self) -> i64;
}

/// A read of one value by its id.
pub trait Load: UnitOfWork<Output = Option<Self::Value>, Refusal = Fault> + 'static {
    /// The type of the value that is read.
    type Value: Cacheable;

    /// The id of the value that is read: the same as the value's own.
    fn id(&self) -> <Self::Value as Cacheable>::Id;
}

/// A value and, when it is stale and stands in for an answer of the database, its age.
#[derive(Clone, Debug)]
pub struct Cached<T> {
    /// The value.
    pub value: T,
    /// How old it is; only for stale values.
    pub stale_for: Option<Duration>,
}

/// Caches what one kind of read yields. Absent values are not cached. Clones share loads in flight.
#[derive(Clone, Debug)]
pub struct ReadCache<T> {
    prefix: String,
    redis: Redis,
    database: Database,
    flights: Arc<SingleFlight<String, Result<Option<T>, Fault>>>,
    loads: Arc<Semaphore>,
    script: Arc<Script>,
    settings: CacheSettings,
    load_deadline: Duration,
    load_wait: Duration,
    lifecycle: Lifecycle,
    metrics: CacheMetrics,
}

/// What a read cache is made of.
#[derive(Debug)]
pub struct ReadCacheParts<'s> {
    /// The service's name.
    pub service: &'s str,
    /// The section `cache`.
    pub settings: &'s CacheSettings,
    /// Time that one load may take, however many requests wait for it.
    pub load_deadline: Duration,
    /// `database.acquire_timeout`.
    pub acquire_timeout: Duration,
    /// Where entries are stored.
    pub redis: Redis,
    /// Where values come from.
    pub database: Database,
    /// Whose runtime loads run on.
    pub lifecycle: Lifecycle,
    /// Hits and misses.
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
            loads: Arc::new(Semaphore::new(parts.settings.max_loads)),
            script: Arc::new(Script::new(STORE)),
            settings: parts.settings.clone(),
            load_deadline: parts.load_deadline,
            // With the wait for a connection behind it, still less than two of them.
            load_wait: parts.acquire_timeout / 2,
            lifecycle: parts.lifecycle,
            metrics: parts.metrics,
        }
    }

    /// The value that `load` reads, from Redis where it is fresh, else from the database, else from Redis where it is
    /// stale.
    ///
    /// # Errors
    /// The database's [`Fault`] when nothing stands in, or [`Fault::DeadlineExceeded`].
    pub async fn read<L: Load<Value = T>>(
        &self,
        context: &RequestContext,
        load: L,
    ) -> Result<Option<Cached<T>>, Fault> {
        let id = load.id().to_string();
        let held = self.held(context, &id).await;
        if let Some((value, age)) = &held
            && *age <= self.settings.fresh
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
            // A bug stays a bug: behind a stale value nobody would see it.
            Err(fault @ Fault::Bug(_)) => Err(fault),
            Err(fault) => match held.filter(|(_, age)| *age <= self.settings.stale) {
                Some((value, age)) => {
                    self.metrics.requested("stale");
                    tracing::warn!(problem = ?fault, "the database gave no answer; serving a stale value");
                    Ok(Some(Cached {
                        value,
                        stale_for: Some(age),
                    }))
                }
                None => Err(fault),
            },
        }
    }

    /// [Puts](Self::put) a new version once `transaction` was committed. Where it is unknown whether it was, this process
    /// does not believe what was stored before.
    pub fn update_after_commit(&self, transaction: &mut Transaction<'_>, context: &RequestContext, value: T) {
        let (cache, context) = (self.clone(), context.clone());
        transaction.after_commit(move |ended| async move {
            match ended {
                Ended::Committed => cache.put(&context, &value).await,
                Ended::Unknown => cache.doubt(&value.id().to_string()),
            }
        });
    }

    /// Stores a new version in what is left of the request's time for Redis, unless a newer one is there. Where that fails,
    /// this process does not believe what was stored before.
    pub async fn put(&self, context: &RequestContext, value: &T) {
        let id = value.id().to_string();
        // A read from now on must not join a load that began before the change.
        self.flights.forget(&id);
        if !self.store(Some(context), &id, value, now_millis()).await {
            self.redis.missed_a_change();
            // The caller waits no longer; other processes may still learn of it.
            self.store_later(&id, value, now_millis());
        }
    }

    fn doubt(&self, id: &str) {
        self.flights.forget(&id.to_owned());
        self.redis.missed_a_change();
    }

    fn store_later(&self, id: &str, value: &T, read_at: u64) {
        let (cache, id, value) = (self.clone(), id.to_owned(), value.clone());
        self.lifecycle.in_background(async move {
            cache.store(None, &id, &value, read_at).await;
        });
    }

    /// Stores a value, as it was at `read_at`, unless a newer one is there, for a request or for none; tells whether
    /// Redis answered.
    async fn store(&self, context: Option<&RequestContext>, id: &str, value: &T, read_at: u64) -> bool {
        let (script, key, entry) = (self.script.clone(), self.key(id), self.entry(value, read_at));
        let store = move |mut connection| async move { entry.store(&script, key, &mut connection).await };
        let stored: Option<i64> = match context {
            Some(context) => self.redis.call(context, "EVALSHA", store).await,
            None => self.redis.call_in_background("EVALSHA", store).await,
        };
        stored.is_some()
    }

    async fn held(&self, context: &RequestContext, id: &str) -> Option<(T, Duration)> {
        let key = self.key(id);
        let text: Option<Option<String>> = self
            .redis
            .call(context, "GET", move |mut connection| async move {
                cmd("GET").arg(key).query_async(&mut *connection).await
            })
            .await;
        let text = text??;
        let mut parts = text.splitn(3, ' ').skip(1);
        let stored: u64 = parts.next()?.parse().ok()?;
        if !self.redis.has_every_change_since(stored) {
            return None;
        }
        let value = serde_json::from_str(parts.next()?).ok()?;
        Some((value, Duration::from_millis(now_millis().saturating_sub(stored))))
    }

    async fn load_shared<W>(&self, context: &RequestContext, id: &str, load: W) -> Result<Option<T>, Fault>
    where
        W: UnitOfWork<Output = Option<T>, Refusal = Fault> + 'static,
    {
        let (cache, owned_id, span) = (self.clone(), id.to_owned(), context.span());
        let counting = context.clone();
        let flight = self.flights.run(id.to_owned(), move || {
            async move { cache.load(&owned_id, load, || counting.count_attempt()).await }.instrument(span)
        });
        let _timer = context.time_database();
        let loaded = context.deadline().bound(flight).await;
        loaded.unwrap_or(Err(Fault::DeadlineExceeded))
    }

    async fn load<W>(
        &self,
        id: &str,
        load: W,
        count_attempt: impl Fn() + Send + Sync,
    ) -> Result<Option<T>, Fault>
    where
        W: UnitOfWork<Output = Option<T>, Refusal = Fault>,
    {
        let _place = tokio::time::timeout(self.load_wait, self.loads.acquire())
            .await
            .map_err(|_| Fault::NoConnectionFree)?;
        let read_at = now_millis();
        let value = self
            .database
            .one_statement(&load, Deadline::after(self.load_deadline), count_attempt)
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
            lives: self.settings.stale.as_millis() as u64,
        }
    }
}

struct Entry {
    version: i64,
    stored: u64,
    json: String,
    lives: u64,
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
            .arg(self.lives);
        call.invoke_async(&mut **connection).await
    }
}
