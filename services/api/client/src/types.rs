//! The types of requests and responses. Fields that a newer service adds are ignored.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// The SKU of the item, such as `ABC-1234`.
    pub sku: String,
    /// The number of units, 1 to 1000.
    pub quantity: i64,
    /// The price of one unit, in cents.
    pub unit_price_cents: i64,
}

/// An order to be placed.
#[derive(Clone, Serialize)]
pub struct NewOrder {
    /// The e-mail address for the confirmation.
    pub customer_email: String,
    /// The currency (ISO 4217).
    pub currency: String,
    /// The ordered items, 1 to 50.
    pub items: Vec<Item>,
    /// A note from the customer.
    pub note: Option<String>,
}

/// An order.
#[derive(Clone, PartialEq, Deserialize)]
pub struct Order {
    /// The id of the order.
    pub id: Uuid,
    /// Always `pending`: reading a cancelled order fails with `order-gone`.
    pub status: String,
    /// The e-mail address for the confirmation.
    pub customer_email: String,
    /// The currency (ISO 4217).
    pub currency: String,
    /// The ordered items.
    pub items: Vec<Item>,
    /// The total price of all items, in cents.
    pub total_cents: i64,
    /// A note from the customer.
    pub note: Option<String>,
    /// The time at which the order was placed.
    pub created_at: DateTime<Utc>,
    /// The delivery estimate, if it was requested and is known.
    #[serde(default)]
    pub delivery: Option<Delivery>,
    /// Parts that the service could not retrieve, such as `delivery`: they are missing or out of date.
    #[serde(default)]
    pub degraded: Vec<String>,
}

/// The delivery estimate of an order.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Delivery {
    /// The day on which delivery is expected.
    pub estimated_on: NaiveDate,
    /// The age of the estimate, if it is the last known one.
    pub age_seconds: Option<u64>,
}

/// An item to quote.
#[derive(Clone, Debug, Serialize)]
pub struct QuoteItem {
    /// The SKU of the item, such as `ABC-1234`.
    pub sku: String,
    /// The number of units, 1 to 1000.
    pub quantity: i64,
}

/// A price.
#[derive(Clone, Debug, Deserialize)]
pub struct Quote {
    /// The total price of all items, in cents.
    pub total_cents: i64,
    /// The currency (ISO 4217).
    pub currency: String,
    /// The time until which the price is valid.
    pub valid_until: DateTime<Utc>,
}

/// Implements `Debug` without personal data.
macro_rules! redacted {
    ($($type:ident: $($shown:ident),+);+ $(;)?) => { $(
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type))$(.field(stringify!($shown), &self.$shown))+.finish_non_exhaustive()
            }
        }
    )+ };
}

redacted! {
    NewOrder: currency, items;
    Order: id, status, currency, items, total_cents, created_at, delivery, degraded;
}

/// A page of orders, newest first.
#[derive(Clone, Debug, Deserialize)]
pub struct OrderPage {
    /// The orders.
    pub items: Vec<Order>,
    /// The cursor of the next page; `None` on the last page.
    pub next_cursor: Option<Uuid>,
}

/// A request that was accepted and is processed by a job.
#[derive(Clone, Debug, Deserialize)]
pub struct Accepted {
    /// The id of the job, for [`Client::job`](crate::Client::job).
    pub job_id: Uuid,
}

/// The status of a job.
#[derive(Clone, Debug, Deserialize)]
pub struct Job {
    /// The id of the job.
    pub id: Uuid,
    /// The kind of the job, such as `build_report`.
    pub kind: String,
    /// `queued`, `running`, `succeeded`, `failed`, `dead` or `cancelled`.
    pub status: String,
    /// The number of attempts started so far.
    pub attempts: i32,
    /// The result, once the job has succeeded.
    pub result: Option<Value>,
}
