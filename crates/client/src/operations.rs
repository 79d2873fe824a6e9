//! The operations of the service.

use std::{
    fmt,
    time::{Duration, Instant},
};

use chrono::NaiveDate;
use moka::sync::Cache;
use reqwest::{Method, RequestBuilder, Url};
use resilience::RetryPolicy;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Accepted, Error, Failure, Job, NewOrder, Order, OrderPage, Quote, QuoteItem, Settings,
    call::{Call, make},
};

/// A client of the api service. Clones share connections, retry budget and what is kept.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: String,
    retry: RetryPolicy,
    settings: Settings,
    kept: Option<Cache<String, (Value, Instant)>>,
}

/// The token stays out of whatever is printed for debugging.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base.as_str())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// How often a write may be sent.
#[derive(Clone, Copy)]
enum Sent<'k> {
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

impl Client {
    /// A client for the service at `base` with this bearer token.
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

    async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        route: &'static str,
        path: &str,
        sent: Sent<'_>,
        body: Option<Value>,
    ) -> Result<T, Error> {
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

    async fn read<T: DeserializeOwned>(&self, route: &'static str, path: &str) -> Result<Fetched<T>, Error> {
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

    /// Places an order under a key of its own, so that it is safe to send again.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_order(&self, order: &NewOrder) -> Result<Order, Error> {
        self.create_order_with_key(&Uuid::new_v4().to_string(), order)
            .await
    }

    /// Places an order under this key; the same key again gives the same order.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_order_with_key(&self, key: &str, order: &NewOrder) -> Result<Order, Error> {
        let body = json!(order);
        self.write(
            Method::POST,
            "/v1/orders",
            "/v1/orders",
            Sent::UnderKey(key),
            Some(body),
        )
        .await
    }

    /// One order.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn order(&self, id: Uuid) -> Result<Fetched<Order>, Error> {
        self.read("/v1/orders/{id}", &format!("/v1/orders/{id}")).await
    }

    /// One order, and when it is expected, as far as the service can tell.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn order_with_delivery(&self, id: Uuid) -> Result<Fetched<Order>, Error> {
        self.read("/v1/orders/{id}", &format!("/v1/orders/{id}?include=delivery"))
            .await
    }

    /// A page of the caller's orders, newest first.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn orders(&self, limit: u8, cursor: Option<Uuid>) -> Result<Fetched<OrderPage>, Error> {
        let cursor = cursor
            .map(|cursor| format!("&cursor={cursor}"))
            .unwrap_or_default();
        self.read("/v1/orders", &format!("/v1/orders?limit={limit}{cursor}"))
            .await
    }

    /// Cancels an order. Sent again after its answer was lost, it may meet `order-gone`: then it was cancelled.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn cancel_order(&self, id: Uuid) -> Result<(), Error> {
        self.write::<Value>(
            Method::DELETE,
            "/v1/orders/{id}",
            &format!("/v1/orders/{id}"),
            Sent::AsOftenAsNeeded,
            None,
        )
        .await
        .map(drop)
    }

    /// A price. Asking has no effect, so it is sent again where that may help.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_quote(&self, currency: &str, items: &[QuoteItem]) -> Result<Quote, Error> {
        let body = json!({ "currency": currency, "items": items });
        self.write(
            Method::POST,
            "/v1/quotes",
            "/v1/quotes",
            Sent::AsOftenAsNeeded,
            Some(body),
        )
        .await
    }

    /// Has a report built. It has no key and is sent once.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_report(&self, from: NaiveDate, to: NaiveDate) -> Result<Accepted, Error> {
        let body = json!({ "from": from, "to": to });
        self.write(Method::POST, "/v1/reports", "/v1/reports", Sent::Once, Some(body))
            .await
    }

    /// How far a job is.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn job(&self, id: Uuid) -> Result<Fetched<Job>, Error> {
        self.read("/v1/jobs/{id}", &format!("/v1/jobs/{id}")).await
    }
}

fn stands_in(failure: &Failure) -> bool {
    match failure {
        Failure::Problem(problem) => problem.status >= 500,
        Failure::Status(status) => *status >= 500,
        Failure::Transport(_) | Failure::TimedOut => true,
        Failure::Invalid(_) => false,
    }
}
