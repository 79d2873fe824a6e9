//! The operations of the service.

use chrono::NaiveDate;
use client::{Caller, Fetched, Key, Sent, Settings, TokenProvider};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Accepted, Error, Job, NewOrder, Order, OrderPage, ProblemCode, Quote, QuoteItem};

/// A client of the api service. Clones share connections, retry budget and cached responses.
#[derive(Clone, Debug)]
pub struct Client {
    caller: Caller<ProblemCode>,
}

impl Client {
    /// Creates a client of the service at `base` that sends the bearer tokens of `token`.
    ///
    /// # Errors
    /// When `base` is not a valid URL, or TLS cannot be set up.
    pub fn new(
        base: &str,
        token: impl TokenProvider,
        settings: Settings,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self {
            caller: Caller::new(base, token, settings)?,
        })
    }

    /// Places an order. Keep the key until the outcome is known: a repeated call with the same key returns the same order.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_order(&self, key: &Key, order: &NewOrder) -> Result<Order, Error> {
        let body = json!(order);
        self.caller
            .write(
                client::Method::POST,
                "/v1/orders",
                "/v1/orders",
                Sent::UnderKey(key),
                Some(body),
            )
            .await
    }

    /// Returns an order.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn order(&self, id: Uuid) -> Result<Fetched<Order>, Error> {
        self.caller
            .read("/v1/orders/{id}", &format!("/v1/orders/{id}"))
            .await
    }

    /// Returns an order with its delivery estimate, if one is known.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn order_with_delivery(&self, id: Uuid) -> Result<Fetched<Order>, Error> {
        self.caller
            .read("/v1/orders/{id}", &format!("/v1/orders/{id}?include=delivery"))
            .await
    }

    /// Returns a page of the caller's orders, newest first.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn orders(&self, limit: u8, cursor: Option<Uuid>) -> Result<Fetched<OrderPage>, Error> {
        let cursor = cursor
            .map(|cursor| format!("&cursor={cursor}"))
            .unwrap_or_default();
        self.caller
            .read("/v1/orders", &format!("/v1/orders?limit={limit}{cursor}"))
            .await
    }

    /// Cancels an order. If a retry finds the order already cancelled, the call succeeds.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn cancel_order(&self, id: Uuid) -> Result<(), Error> {
        let cancelled = self
            .caller
            .write::<Value>(
                client::Method::DELETE,
                "/v1/orders/{id}",
                &format!("/v1/orders/{id}"),
                Sent::AsOftenAsNeeded,
                None,
            )
            .await;
        match cancelled {
            Err(error) if error.attempts.len() > 1 && is_gone(&error) => Ok(()),
            cancelled => cancelled.map(drop),
        }
    }

    /// Requests a price. The request has no side effects, so it is safe to retry.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_quote(&self, currency: &str, items: &[QuoteItem]) -> Result<Quote, Error> {
        let body = json!({ "currency": currency, "items": items });
        self.caller
            .write(
                client::Method::POST,
                "/v1/quotes",
                "/v1/quotes",
                Sent::AsOftenAsNeeded,
                Some(body),
            )
            .await
    }

    /// Requests a report. Keep the key until the outcome is known: a repeated call with the same key returns the same job.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_report(&self, key: &Key, from: NaiveDate, to: NaiveDate) -> Result<Accepted, Error> {
        let body = json!({ "from": from, "to": to });
        self.caller
            .write(
                client::Method::POST,
                "/v1/reports",
                "/v1/reports",
                Sent::UnderKey(key),
                Some(body),
            )
            .await
    }

    /// Returns the status of a job and, once it has succeeded, its result.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn job(&self, id: Uuid) -> Result<Fetched<Job>, Error> {
        self.caller.read("/v1/jobs/{id}", &format!("/v1/jobs/{id}")).await
    }
}

fn is_gone(error: &Error) -> bool {
    error
        .problem()
        .is_some_and(|problem| problem.code == ProblemCode::OrderGone)
}
