//! Reads and writes of any service that responds with problems.

use std::{
    fmt,
    marker::PhantomData,
    sync::Arc,
    time::{Duration, Instant},
};

use moka::sync::Cache;
use reqwest::{Method, RequestBuilder, Url};
use resilience::RetryPolicy;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Error, Failure, Key, ProblemCode, Settings, TokenProvider,
    call::{Call, make},
};

/// Calls one service, whose problem codes are the enum `C`. Clones share connections, retry budget and cache.
pub struct Caller<C> {
    http: reqwest::Client,
    base: Url,
    token: Arc<dyn TokenProvider>,
    retry: RetryPolicy,
    settings: Settings,
    cache: Option<Cache<String, (Value, Instant)>>,
    codes: PhantomData<fn() -> C>,
}

impl<C> Clone for Caller<C> {
    fn clone(&self) -> Self {
        Self {
            http: self.http.clone(),
            base: self.base.clone(),
            token: self.token.clone(),
            retry: self.retry.clone(),
            settings: self.settings,
            cache: self.cache.clone(),
            codes: PhantomData,
        }
    }
}

/// Omits the token from debug output.
impl<C> fmt::Debug for Caller<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("base", &self.base.as_str())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// How often a write may be sent.
#[derive(Clone, Copy, Debug)]
pub enum Sent<'k> {
    /// Once: a write whose response was lost may have taken effect, and would take effect again.
    Once,
    /// Repeatedly: the service applies writes with this idempotency key once.
    UnderKey(&'k Key),
    /// Repeatedly: the write has no effect, or the same one each time.
    AsOftenAsNeeded,
}

/// The response to a read.
#[derive(Clone, Debug)]
pub struct Fetched<T> {
    /// The value.
    pub value: T,
    /// The age of the value, if the service could not read it afresh: it is from the service's own cache, or from this
    /// client's because the service was unavailable.
    pub stale_for: Option<Duration>,
}

impl<C: ProblemCode> Caller<C> {
    /// A caller of the service at `base` with the bearer tokens of `token`.
    ///
    /// # Errors
    /// If `base` is not a URL, or TLS cannot be set up.
    pub fn new(
        base: &str,
        token: impl TokenProvider,
        settings: Settings,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let new_cache = || {
            Cache::builder()
                .max_capacity(settings.stale_entries)
                .time_to_live(settings.stale_for)
                .build()
        };
        Ok(Self {
            http,
            base: base.parse()?,
            token: Arc::new(token),
            retry: RetryPolicy::new(settings.attempts, settings.initial_backoff, settings.retry_budget),
            settings,
            cache: (settings.stale_entries > 0).then(new_cache),
            codes: PhantomData,
        })
    }

    fn request(&self, method: &Method, path: &str) -> RequestBuilder {
        let mut url = self.base.clone();
        let (path, query) = path
            .split_once('?')
            .map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.set_query(query);
        self.http.request(method.clone(), url)
    }

    /// Sends a write and returns the response.
    ///
    /// # Errors
    /// If the last attempt failed.
    pub async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        route: &'static str,
        path: &str,
        sent: Sent<'_>,
        body: Option<Value>,
    ) -> Result<T, Error<C>> {
        let request = || {
            let mut request = self.request(&method, path);
            if let Sent::UnderKey(key) = sent {
                request = request.header("idempotency-key", key.as_str());
            }
            match &body {
                Some(body) => request.json(body),
                None => request,
            }
        };
        let call = Call {
            method: method.clone(),
            route,
            idempotent: !matches!(sent, Sent::Once),
            key: match sent {
                Sent::UnderKey(key) => Some(key),
                Sent::Once | Sent::AsOftenAsNeeded => None,
            },
            request: &request,
        };
        let response = make(call, &*self.token, &self.retry, &self.settings).await?;
        Ok(response.value)
    }

    /// Reads `path`. If the service is unavailable, returns the cached response, if there is one.
    ///
    /// # Errors
    /// If the last attempt failed.
    pub async fn read<T: DeserializeOwned>(
        &self,
        route: &'static str,
        path: &str,
    ) -> Result<Fetched<T>, Error<C>> {
        let request = || self.request(&Method::GET, path);
        let call = Call {
            method: Method::GET,
            route,
            idempotent: true,
            key: None,
            request: &request,
        };
        match make(call, &*self.token, &self.retry, &self.settings).await {
            Ok(response) => {
                if let Some(cache) = &self.cache {
                    // A response that was stale when it arrived is older than its arrival.
                    let age = response.age.unwrap_or_default();
                    let since = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
                    cache.insert(path.to_owned(), (response.json, since));
                }
                Ok(Fetched {
                    value: response.value,
                    stale_for: response.age,
                })
            }
            // A refusal is a valid response and is never replaced.
            Err(error) if allows_cached_response(&error.failure) => {
                let cached = self.cache.as_ref().and_then(|cache| cache.get(path));
                let cached =
                    cached.and_then(|(json, since)| Some((serde_json::from_value(json).ok()?, since)));
                let Some((value, since)) = cached else {
                    return Err(error);
                };
                Ok(Fetched {
                    value,
                    stale_for: Some(since.elapsed()),
                })
            }
            Err(error) => Err(error),
        }
    }
}

fn allows_cached_response<C>(failure: &Failure<C>) -> bool {
    match failure {
        // A bug says nothing about the value: to show an old one would hide it.
        Failure::Problem(problem) => problem.status > 500,
        Failure::Status(status) => *status > 500,
        Failure::Transport(_) | Failure::TimedOut => true,
        Failure::Invalid(_) | Failure::NoToken(_) => false,
    }
}
