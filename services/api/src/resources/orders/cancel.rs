//! `DELETE /v1/orders/{id}`

use cache::ReadCache;
use database::{Abort, Fault, UnitOfWork};
use http_server::{
    NoContent, Refusal,
    extract::{Caller, Context, Path, State},
    operation,
};
use runtime::RequestContext;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{
    Item, OrdersWrite,
    model::{OrderRow, StoredOrder},
};
use crate::{problems, state::Api};

/// Every way in which cancelling an order can be refused.
#[derive(Debug, Refusal)]
pub enum CancelOrderRefusal {
    /// 404: there is none with this id, or it is another subject's.
    #[problem(problems::ORDER_NOT_FOUND, "there is no order with this id for you")]
    NotFound,
    /// 410: it is cancelled already.
    #[problem(problems::ORDER_GONE, "this order was cancelled before")]
    Gone,
    /// Everything in [`Fault`].
    #[refusal(transparent)]
    Database(Fault),
}

/// Cancels an order. Afterwards it is gone.
#[operation(DELETE "/v1/orders/{id}", scope = OrdersWrite)]
pub async fn cancel_order(
    caller: Caller,
    id: Path<Uuid>,
    context: Context,
    api: State<Api>,
) -> Result<NoContent, CancelOrderRefusal> {
    context.annotate("order.id", id.0);
    let cancel = CancelOrder {
        id: id.0,
        subject: caller.subject,
        cache: api.orders.clone(),
        context: context.clone(),
    };
    api.database.transaction(cancel, &context).await?;
    Ok(NoContent)
}

struct CancelOrder {
    id: Uuid,
    subject: String,
    cache: ReadCache<StoredOrder>,
    context: RequestContext,
}

impl UnitOfWork for CancelOrder {
    const NAME: &'static str = "cancel_order";
    type Output = StoredOrder;
    type Refusal = CancelOrderRefusal;

    async fn run(&self, connection: &mut PgConnection) -> Result<StoredOrder, Abort<CancelOrderRefusal>> {
        let cancelled = sqlx::query_as!(
            OrderRow,
            r#"/* cancel_order */
            UPDATE orders SET status = 'cancelled', version = version + 1
            WHERE id = $1 AND subject = $2 AND status = 'pending'
            RETURNING id, subject, status, customer_email, currency, items AS "items: Json<Vec<Item>>",
                      total_cents, note, version, created_at"#,
            self.id,
            self.subject
        )
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(row) = cancelled {
            return Ok(row.into());
        }
        let existed = sqlx::query_scalar!(
            r#"/* cancel_order_why */ SELECT EXISTS (SELECT FROM orders WHERE id = $1 AND subject = $2) AS "existed!""#,
            self.id,
            self.subject
        )
        .fetch_one(connection)
        .await?;
        Err(Abort::Refused(if existed {
            CancelOrderRefusal::Gone
        } else {
            CancelOrderRefusal::NotFound
        }))
    }

    async fn committed(&self, cancelled: &StoredOrder) {
        self.cache
            .put(&self.context, &self.id.to_string(), cancelled)
            .await;
    }

    fn unknown(&self) {
        self.cache.doubt(&self.id.to_string());
    }
}
