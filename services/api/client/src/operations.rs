//! The operations of the service.

use chrono::NaiveDate;
use client::{Caller, Fetched, Sent, Settings};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Accepted, Error, Job, NewOrder, Order, OrderPage, ProblemCode, Quote, QuoteItem};

/// A client of the api service. Clones share connections, retry budget and cached responses.
#[derive(Clone, Debug)]
pub struct Client {
    caller: Caller<ProblemCode>,
}

impl Client {
    /// Creates a client of the service at `base` that sends this bearer token.
    ///
    /// # Errors
    /// When `base` is not a valid URL, or TLS cannot be set up.
    pub fn new(
        base: &str,
        token: impl Into<String>,
        settings: Settings,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self {
            caller: Caller::new(base, token, settings)?,
        })
    }

    /// Places an order with a new idempotency key, so that retries are safe.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_order(&self, order: &NewOrder) -> Result<Order, Error> {
        self.create_order_with_key(&Uuid::new_v4().to_string(), order)
            .await
    }

    /// Places an order with this idempotency key; a repeated call with the same key returns the same order.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_order_with_key(&self, key: &str, order: &NewOrder) -> Result<Order, Error> {
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

    /// Cancels an order. A retry after a lost response may return `order-gone`: then the order is cancelled.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn cancel_order(&self, id: Uuid) -> Result<(), Error> {
        self.caller
            .write::<Value>(
                client::Method::DELETE,
                "/v1/orders/{id}",
                &format!("/v1/orders/{id}"),
                Sent::AsOftenAsNeeded,
                None,
            )
            .await
            .map(drop)
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

    /// Requests a report. The request has no idempotency key, so it is not retried if it may have taken effect.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_report(&self, from: NaiveDate, to: NaiveDate) -> Result<Accepted, Error> {
        let body = json!({ "from": from, "to": to });
        self.caller
            .write(
                client::Method::POST,
                "/v1/reports",
                "/v1/reports",
                Sent::Once,
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
