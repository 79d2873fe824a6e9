//! What goes over the wire. Fields that a newer service adds are passed over.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// What is ordered, such as `ABC-1234`.
    pub sku: String,
    /// How many, 1 to 1000.
    pub quantity: i64,
    /// Price of one, in cents.
    pub unit_price_cents: i64,
}

/// An order to be placed.
#[derive(Clone, Serialize)]
pub struct NewOrder {
    /// Where the confirmation goes.
    pub customer_email: String,
    /// ISO 4217.
    pub currency: String,
    /// What is ordered, 1 to 50 lines.
    pub items: Vec<Item>,
    /// The customer's words.
    pub note: Option<String>,
}

/// An order.
#[derive(Clone, PartialEq, Deserialize)]
pub struct Order {
    /// Its id.
    pub id: Uuid,
    /// `pending`.
    pub status: String,
    /// Where the confirmation goes.
    pub customer_email: String,
    /// ISO 4217.
    pub currency: String,
    /// What is ordered.
    pub items: Vec<Item>,
    /// Sum over the items.
    pub total_cents: i64,
    /// The customer's words.
    pub note: Option<String>,
    /// When it was placed.
    pub created_at: DateTime<Utc>,
    /// When it is expected, where that was asked for and is known.
    #[serde(default)]
    pub delivery: Option<Delivery>,
    /// What the service had to leave out or to tell from memory, such as `delivery`.
    #[serde(default)]
    pub degraded: Vec<String>,
}

/// When an order is expected.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Delivery {
    /// The day.
    pub estimated_on: NaiveDate,
    /// Its age, where the service tells what it knew last.
    pub age_seconds: Option<u64>,
}

/// What a price is wanted for.
#[derive(Clone, Debug, Serialize)]
pub struct QuoteItem {
    /// What, such as `ABC-1234`.
    pub sku: String,
    /// How many, 1 to 1000.
    pub quantity: i64,
}

/// A price.
#[derive(Clone, Debug, Deserialize)]
pub struct Quote {
    /// For all items together.
    pub total_cents: i64,
    /// ISO 4217.
    pub currency: String,
    /// Until when it holds.
    pub valid_until: DateTime<Utc>,
}

/// Personal data stays out of whatever is printed for debugging.
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
    /// For the next page; none on the last one.
    pub next_cursor: Option<Uuid>,
}

/// Work that was accepted.
#[derive(Clone, Debug, Deserialize)]
pub struct Accepted {
    /// What to ask for.
    pub job_id: Uuid,
}

/// How far a job is.
#[derive(Clone, Debug, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: Uuid,
    /// What kind of work.
    pub kind: String,
    /// `queued`, `running`, `succeeded`, `failed` or `dead`.
    pub status: String,
    /// Starts so far.
    pub attempts: i32,
    /// What it yielded.
    pub result: Option<Value>,
}
