//! The last responses of upstream services, served when a service is unavailable.

use std::{marker::PhantomData, time::Duration};

use deadpool_redis::redis::cmd;
use serde::{Serialize, de::DeserializeOwned};

use super::{CacheSettings, Redis, millis, now_millis};
use runtime::{Lifecycle, RequestContext};

/// A value that a fallback cache can store.
pub trait FallbackValue: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name of this kind of value in Redis keys.
    const KIND: &'static str;
}

/// Values of one kind by id, each with the time at which it was stored.
#[derive(Debug)]
pub struct FallbackCache<T> {
    prefix: String,
    ttl: Duration,
    redis: Redis,
    lifecycle: Lifecycle,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for FallbackCache<T> {
    fn clone(&self) -> Self {
        Self {
            prefix: self.prefix.clone(),
            ttl: self.ttl,
            redis: self.redis.clone(),
            lifecycle: self.lifecycle.clone(),
            kind: PhantomData,
        }
    }
}

impl<T: FallbackValue> FallbackCache<T> {
    /// A cache whose keys begin with the service's name and the kind of value.
    pub fn new(service: &str, settings: &CacheSettings, redis: Redis, lifecycle: Lifecycle) -> Self {
        Self {
            prefix: format!("{service}:{}:", T::KIND),
            ttl: settings.fallback_ttl,
            redis,
            lifecycle,
            kind: PhantomData,
        }
    }

    /// Stores a value in the background. The value may be lost.
    ///
    /// # Panics
    /// When the value does not serialize.
    pub fn store(&self, id: &str, value: &T) {
        let json = serde_json::to_string(value).expect("fallback values serialize");
        let (redis, key, ttl) = (self.redis.clone(), self.key(id), millis(self.ttl));
        self.lifecycle.spawn_background(async move {
            let entry = format!("{} {json}", now_millis());
            let _: Option<String> = redis
                .call_in_background("SET", move |mut connection| async move {
                    let mut set = cmd("SET");
                    set.arg(key).arg(entry).arg("PX").arg(ttl);
                    set.query_async(&mut connection.connection).await
                })
                .await;
        });
    }

    /// The stored value and its age; `None` if there is none or Redis is unavailable.
    pub async fn get(&self, context: &RequestContext, id: &str) -> Option<(T, Duration)> {
        let entry = self.redis.get(context, self.key(id)).await?;
        let (stored_at, json) = entry.split_once(' ')?;
        let age = now_millis().saturating_sub(stored_at.parse().ok()?);
        Some((serde_json::from_str(json).ok()?, Duration::from_millis(age)))
    }

    fn key(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }
}
