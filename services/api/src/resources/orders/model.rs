//! An order as clients see it and as it is stored.

use std::sync::LazyLock;

use cache::Cacheable;
use chrono::{DateTime, Utc};
use regex::Regex;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;
use validator::Validate;

/// The format of a currency code (ISO 4217).
pub(crate) static CURRENCY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("^[A-Z]{3}$").expect("a valid regex"));

/// The format of an SKU.
pub(crate) static SKU: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("^[A-Z0-9]{2,8}-[A-Z0-9]{1,12}$").expect("a valid regex"));

/// A line of an order to be placed.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewItem {
    /// The SKU of the item.
    #[validate(regex(
        path = *SKU,
        code = "pattern",
        message = "must be 2 to 8 characters A-Z or 0-9, a dash, and 1 to 12 characters A-Z or 0-9"
    ))]
    #[schema(pattern = "^[A-Z0-9]{2,8}-[A-Z0-9]{1,12}$", example = "ABC-1234")]
    sku: String,
    /// The number of units.
    #[validate(range(min = 1, max = 1000, message = "must be between 1 and 1000"))]
    #[schema(minimum = 1, maximum = 1000, example = 2)]
    quantity: i64,
    /// The price of one unit, in cents.
    #[validate(range(min = 1, max = 10_000_000, message = "must be between 1 and 10000000"))]
    #[schema(minimum = 1, maximum = 10_000_000, example = 1999)]
    unit_price_cents: i64,
}

/// A line of an order, as it is stored. The releases before and after read it, so unknown fields are ignored and new ones
/// have defaults.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Item {
    /// The SKU of the item.
    #[schema(example = "ABC-1234")]
    pub sku: String,
    /// The number of units.
    #[schema(example = 2)]
    pub quantity: i64,
    /// The price of one unit, in cents.
    #[schema(example = 1999)]
    pub unit_price_cents: i64,
}

impl From<NewItem> for Item {
    fn from(item: NewItem) -> Self {
        Self {
            sku: item.sku,
            quantity: item.quantity,
            unit_price_cents: item.unit_price_cents,
        }
    }
}

/// An order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Order {
    /// The id of the order. Ids sort by time of creation.
    pub id: Uuid,
    /// Always `pending`: requests for a cancelled order return 410.
    #[schema(example = "pending")]
    pub status: String,
    /// The e-mail address for the confirmation.
    #[schema(example = "ada@example.com")]
    pub customer_email: String,
    /// The currency (ISO 4217).
    #[schema(example = "EUR")]
    pub currency: String,
    /// The ordered items.
    pub items: Vec<Item>,
    /// The total price of all items, in cents.
    #[schema(example = 3998)]
    pub total_cents: i64,
    /// A note from the customer.
    pub note: Option<String>,
    /// The time at which the order was placed.
    pub created_at: DateTime<Utc>,
}

/// An order with its owner and its version, which each change increments.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredOrder {
    pub(super) subject: String,
    pub(super) version: i64,
    pub(crate) order: Order,
}

impl StoredOrder {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.order.status == "cancelled"
    }
}

impl Cacheable for StoredOrder {
    const KIND: &'static str = "order";
    type Id = Uuid;

    fn id(&self) -> Uuid {
        self.order.id
    }

    fn version(&self) -> i64 {
        self.version
    }
}

/// A row of `orders`.
pub(super) struct OrderRow {
    pub(super) id: Uuid,
    pub(super) subject: String,
    pub(super) status: String,
    pub(super) customer_email: String,
    pub(super) currency: String,
    pub(super) items: Json<Vec<Item>>,
    pub(super) total_cents: i64,
    pub(super) note: Option<String>,
    pub(super) version: i64,
    pub(super) created_at: DateTime<Utc>,
}

impl From<OrderRow> for StoredOrder {
    fn from(row: OrderRow) -> Self {
        Self {
            subject: row.subject,
            version: row.version,
            order: Order {
                id: row.id,
                status: row.status,
                customer_email: row.customer_email,
                currency: row.currency,
                items: row.items.0,
                total_cents: row.total_cents,
                note: row.note,
                created_at: row.created_at,
            },
        }
    }
}
