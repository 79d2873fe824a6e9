//! Reads and writes of any service that answers with problems.

use std::{
    fmt,
    marker::PhantomData,
    time::{Duration, Instant},
};

use moka::sync::Cache;
use reqwest::{Method, RequestBuilder, Url};
use resilience::RetryPolicy;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Error, Failure, ProblemCode, Settings,
    call::{Call, make},
};

/// Calls one service, whose problem codes are the enum `C`. Clones share connections, retry budget and cached responses.
pub struct Caller<C> {
    http: reqwest::Client,
    base: Url,
    token: String,
    retry: RetryPolicy,
    settings: Settings,
    kept: Option<Cache<String, (Value, Instant)>>,
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
            kept: self.kept.clone(),
            codes: PhantomData,
        }
    }
}

/// The token stays out of whatever is printed for debugging.
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
    /// It may have happened though its answer was lost, and would happen again.
    Once,
    /// The service makes one effect of all with this key.
    UnderKey(&'k str),
    /// It has no effect, or the same one.
    AsOftenAsNeeded,
}

/// An answer to a read.
#[derive(Clone, Debug)]
pub struct Fetched<T> {
    /// The value.
    pub value: T,
    /// Its age, where the service could not answer and what it said before stands in.
    pub stale_for: Option<Duration>,
}

impl<C: ProblemCode> Caller<C> {
    /// A caller of the service at `base` with this bearer token.
    ///
    /// # Errors
    /// When the address is none, or no TLS can be had.
    pub fn new(
        base: &str,
        token: impl Into<String>,
        settings: Settings,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let keep = || {
            Cache::builder()
                .max_capacity(settings.stale_entries)
                .time_to_live(settings.stale_for)
                .build()
        };
        Ok(Self {
            http,
            base: base.parse()?,
            token: token.into(),
            retry: RetryPolicy::new(settings.attempts, settings.first_backoff, settings.retry_budget),
            settings,
            kept: (settings.stale_entries > 0).then(keep),
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
        self.http.request(method.clone(), url).bearer_auth(&self.token)
    }

    /// Makes a change, and gives what the service says of it.
    ///
    /// # Errors
    /// [`Error`].
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
                request = request.header("idempotency-key", key);
            }
            match &body {
                Some(body) => request.json(body),
                None => request,
            }
        };
        let call = Call {
            method: method.clone(),
            route,
            repeatable: !matches!(sent, Sent::Once),
            request: &request,
        };
        Ok(make(call, &self.retry, &self.settings).await?.0)
    }

    /// Reads what is at `path`; where the service cannot answer, what it said before, if that is kept.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn read<T: DeserializeOwned>(
        &self,
        route: &'static str,
        path: &str,
    ) -> Result<Fetched<T>, Error<C>> {
        let request = || self.request(&Method::GET, path);
        let call = Call {
            method: Method::GET,
            route,
            repeatable: true,
            request: &request,
        };
        match make(call, &self.retry, &self.settings).await {
            Ok((value, json)) => {
                if let Some(kept) = &self.kept {
                    kept.insert(path.to_owned(), (json, Instant::now()));
                }
                Ok(Fetched {
                    value,
                    stale_for: None,
                })
            }
            // Only where the service cannot answer: a refusal is an answer.
            Err(error) if stands_in(&error.failure) => {
                let kept = self.kept.as_ref().and_then(|kept| kept.get(path));
                let kept = kept.and_then(|(json, since)| Some((serde_json::from_value(json).ok()?, since)));
                let Some((value, since)) = kept else {
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

fn stands_in<C>(failure: &Failure<C>) -> bool {
    match failure {
        Failure::Problem(problem) => problem.status >= 500,
        Failure::Status(status) => *status >= 500,
        Failure::Transport(_) | Failure::TimedOut => true,
        Failure::Invalid(_) => false,
    }
}
