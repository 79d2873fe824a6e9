//! The last answers of other services, to stand in for those that they cannot give.

use std::{marker::PhantomData, time::Duration};

use deadpool_redis::redis::cmd;
use serde::{Serialize, de::DeserializeOwned};

use super::{CacheSettings, Redis, now_millis};
use runtime::{Lifecycle, RequestContext};

/// What can be kept.
pub trait Kept: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Names this kind of value in Redis keys.
    const KIND: &'static str;
}

/// Values of one kind by id, each with the time at which it was kept.
#[derive(Debug)]
pub struct LastKnown<T> {
    prefix: String,
    lives: Duration,
    redis: Redis,
    lifecycle: Lifecycle,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for LastKnown<T> {
    fn clone(&self) -> Self {
        Self {
            prefix: self.prefix.clone(),
            lives: self.lives,
            redis: self.redis.clone(),
            lifecycle: self.lifecycle.clone(),
            kind: PhantomData,
        }
    }
}

impl<T: Kept> LastKnown<T> {
    /// A cache whose keys begin with the service's name and the kind of value.
    pub fn new(service: &str, settings: &CacheSettings, redis: Redis, lifecycle: Lifecycle) -> Self {
        Self {
            prefix: format!("{service}:{}:", T::KIND),
            lives: settings.last_known,
            redis,
            lifecycle,
            kind: PhantomData,
        }
    }

    /// Keeps a value; nobody waits for it, and it may be lost.
    ///
    /// # Panics
    /// When the value does not serialize.
    pub fn keep(&self, id: &str, value: &T) {
        let json = serde_json::to_string(value).expect("kept values serialize");
        let (redis, key, lives) = (self.redis.clone(), self.key(id), self.lives.as_millis() as u64);
        self.lifecycle.in_background(async move {
            let entry = format!("{} {json}", now_millis());
            let _: Option<String> = redis
                .call_in_background("SET", move |mut connection| async move {
                    let mut set = cmd("SET");
                    set.arg(key).arg(entry).arg("PX").arg(lives);
                    set.query_async(&mut *connection).await
                })
                .await;
        });
    }

    /// The value and its age, if there is one.
    pub async fn get(&self, context: &RequestContext, id: &str) -> Option<(T, Duration)> {
        let key = self.key(id);
        let entry: Option<Option<String>> = self
            .redis
            .call(context, "GET", move |mut connection| async move {
                cmd("GET").arg(key).query_async(&mut *connection).await
            })
            .await;
        let entry = entry??;
        let (kept, json) = entry.split_once(' ')?;
        let age = now_millis().saturating_sub(kept.parse().ok()?);
        Some((serde_json::from_str(json).ok()?, Duration::from_millis(age)))
    }

    fn key(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }
}
