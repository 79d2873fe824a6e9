//! The keys of an identity provider, loaded from its JSON Web Key Set (RFC 7517).
//!
//! They are loaded at the start, once per interval, and when a token names a key that is not known: a rotation then
//! fails no valid token. The last good keys are kept while the provider is unavailable.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::DecodingKey;
use reqwest::{Client, redirect};
use resilience::{ConcurrencyLimit, Deadline};
use runtime::Lifecycle;
use telemetry::metrics::DependencyMetrics;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use url::Url;

use crate::{Algorithm, keys::KeySet};

/// The name of the identity provider in metrics.
const NAME: &str = "identity_provider";
/// The outcomes of loading the keys, as metric labels.
const OUTCOMES: [&str; 2] = ["ok", "error"];

/// The shortest time between two loads, so that tokens with invented key ids cannot flood the provider.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// The time after which a failed load is repeated.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// The longest time for one load.
const LOAD_TIMEOUT: Duration = Duration::from_secs(2);
/// The largest document that is read, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// The keys of one provider.
pub(crate) struct Jwks {
    loaded: watch::Receiver<Loaded>,
    wanted: Arc<Notify>,
    waiting: ConcurrencyLimit,
}

/// The state after the latest load.
#[derive(Clone, Default)]
struct Loaded {
    /// The keys of the latest load that succeeded.
    keys: Arc<KeySet>,
    /// When the latest load began; `None` before the first has ended.
    began: Option<Instant>,
    /// Why the latest load failed.
    error: Option<String>,
}

/// Why a key is not known.
#[derive(Debug)]
pub(crate) enum UnknownKey {
    /// The provider does not publish it.
    NotPublished,
    /// The keys could not be loaded; the text says why.
    Unavailable(String),
    /// The deadline passed before they were loaded.
    TimedOut,
}

impl Jwks {
    /// Loads the keys at `url` for as long as the runtime of `lifecycle` runs.
    pub(crate) fn start(
        url: Url,
        algorithm: Algorithm,
        interval: Duration,
        max_waiting: usize,
        lifecycle: &Lifecycle,
        metrics: DependencyMetrics,
    ) -> anyhow::Result<Self> {
        metrics.announce(NAME, &OUTCOMES);
        let http = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(LOAD_TIMEOUT)
            .build()?;
        let (publish, loaded) = watch::channel(Loaded::default());
        let wanted = Arc::new(Notify::new());
        let loader = Loader {
            http,
            url,
            algorithm,
            interval,
            publish,
            wanted: wanted.clone(),
            metrics,
        };
        lifecycle.runtime().spawn(loader.run());
        Ok(Self {
            loaded,
            wanted,
            waiting: ConcurrencyLimit::new(max_waiting),
        })
    }

    /// The keys that a token with this key id may be signed with. For an unknown id, loads the keys again and waits for
    /// that until the deadline.
    pub(crate) async fn candidates(
        &self,
        kid: Option<&str>,
        deadline: Deadline,
    ) -> Result<Vec<DecodingKey>, UnknownKey> {
        let arrived = Instant::now();
        if let Some(found) = candidates(&self.loaded.borrow(), kid) {
            return Ok(found);
        }
        let unavailable = |reason: &str| UnknownKey::Unavailable(reason.to_owned());
        let permit = self.waiting.try_acquire();
        let _permit = permit.ok_or_else(|| unavailable("too many requests wait for the keys"))?;
        self.wanted.notify_one();
        let mut loaded = self.loaded.clone();
        // A load that was running may have been answered before the provider added the key.
        let fresh = loaded.wait_for(|loaded| {
            candidates(loaded, kid).is_some() || loaded.began.is_some_and(|began| began >= arrived)
        });
        let fresh = deadline.timeout(fresh).await;
        let loaded = fresh
            .map_err(|_| UnknownKey::TimedOut)?
            .map_err(|_| unavailable("this process is shutting down"))?;
        match (candidates(&loaded, kid), &loaded.error) {
            (Some(found), _) => Ok(found),
            (None, Some(error)) => Err(unavailable(error)),
            (None, None) => Err(UnknownKey::NotPublished),
        }
    }
}

fn candidates(loaded: &Loaded, kid: Option<&str>) -> Option<Vec<DecodingKey>> {
    let found: Vec<DecodingKey> = loaded.keys.candidates(kid).cloned().collect();
    (!found.is_empty()).then_some(found)
}

struct Loader {
    http: Client,
    url: Url,
    algorithm: Algorithm,
    interval: Duration,
    publish: watch::Sender<Loaded>,
    wanted: Arc<Notify>,
    metrics: DependencyMetrics,
}

impl Loader {
    async fn run(self) {
        while !self.publish.is_closed() {
            let began = Instant::now();
            let result = self.load().await;
            let outcome = if result.is_ok() { "ok" } else { "error" };
            self.metrics.called(NAME, outcome, began.elapsed());
            let failed = result.is_err();
            self.publish.send_modify(|loaded| {
                loaded.began = Some(began);
                loaded.error = None;
                match result {
                    Ok(keys) => loaded.keys = Arc::new(keys),
                    Err(error) => {
                        tracing::warn!(
                            error,
                            "the keys of the identity provider cannot be loaded; keeping the last ones"
                        );
                        loaded.error = Some(error);
                    }
                }
            });
            let pause = if failed {
                self.interval.min(RETRY_INTERVAL)
            } else {
                self.interval
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wanted.notified() => tokio::time::sleep_until(began + MIN_INTERVAL).await,
                () = self.publish.closed() => {}
            }
        }
    }

    async fn load(&self) -> Result<KeySet, String> {
        let text = |error: reqwest::Error| error.without_url().to_string();
        let response = self.http.get(self.url.clone()).send().await.map_err(text)?;
        if response.status() != 200 {
            return Err(format!("the provider responded with {}", response.status()));
        }
        let (mut response, mut document) = (response, Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(text)? {
            document.extend_from_slice(&chunk);
            if document.len() > MAX_BYTES {
                return Err(format!("the key set is larger than {MAX_BYTES} bytes"));
            }
        }
        KeySet::parse(&document, self.algorithm)
    }
}
