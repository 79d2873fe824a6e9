//! `GET /v1/orders`

use database::{DatabaseError, Transaction, TransactionError, UnitOfWork};
use http_server::{
    Json as JsonBody, Refusal,
    extract::{Caller, Context, Query, State},
    operation,
};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use validator::Validate;

use super::{
    Item, Order, OrdersRead,
    model::{OrderRow, StoredOrder},
};
use crate::state::Api;

/// The query parameters of `GET /v1/orders`.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// The maximum number of orders on the page.
    #[serde(default = "default_limit")]
    #[validate(range(min = 1, max = 100, message = "must be between 1 and 100"))]
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: i64,
    /// The `next_cursor` of the previous page.
    cursor: Option<Uuid>,
}

fn default_limit() -> i64 {
    20
}

/// A page of orders, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrderPage {
    /// The orders on this page.
    items: Vec<Order>,
    /// The `cursor` of the next page; null on the last page.
    next_cursor: Option<Uuid>,
}

/// Every way in which listing orders can be refused.
#[derive(Debug, Refusal)]
pub(super) enum ListOrdersRefusal {
    /// Everything in [`DatabaseError`].
    #[refusal(transparent)]
    Database(DatabaseError),
}

/// Lists the caller's orders, newest first, without cancelled ones.
#[operation(GET "/v1/orders", scope = OrdersRead)]
pub(super) async fn list_orders(
    caller: Caller,
    page: Query<Page>,
    context: Context,
    api: State<Api>,
) -> Result<JsonBody<OrderPage>, ListOrdersRefusal> {
    let Page { limit, cursor } = page.0;
    let mut items = api
        .database
        .read(
            &OrdersBefore {
                subject: caller.subject,
                limit,
                cursor,
            },
            &context,
        )
        .await?;
    // The query reads one row more than requested, which shows whether there is a next page.
    let limit = usize::try_from(limit).unwrap_or_default();
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| has_more).map(|order| order.id);
    Ok(JsonBody(OrderPage { items, next_cursor }))
}

struct OrdersBefore {
    subject: String,
    limit: i64,
    cursor: Option<Uuid>,
}

impl UnitOfWork for OrdersBefore {
    const NAME: &'static str = "list_orders";
    type Output = Vec<Order>;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Vec<Order>, TransactionError<DatabaseError>> {
        let rows = sqlx::query_as!(
            OrderRow,
            r#"/* list_orders */
            SELECT id, subject, status, customer_email, currency, items AS "items: Json<Vec<Item>>",
                   total_cents, note, version, created_at
            FROM orders
            WHERE subject = $1 AND status = 'pending' AND id < COALESCE($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
            ORDER BY id DESC
            LIMIT $3"#,
            self.subject,
            self.cursor,
            self.limit + 1
        )
        .fetch_all(&mut **transaction)
        .await?;
        Ok(rows.into_iter().map(|row| StoredOrder::from(row).order).collect())
    }
}
