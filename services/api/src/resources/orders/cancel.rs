//! `DELETE /v1/orders/{id}`

use cache::ReadCache;
use database::{Fault, Transaction, TransactionError, UnitOfWork};
use http_server::{
    NoContent, Refusal,
    extract::{Caller, Context, Path, State},
    operation,
};
use runtime::RequestContext;
use sqlx::types::Json;
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
    type Output = ();
    type Refusal = CancelOrderRefusal;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<(), TransactionError<CancelOrderRefusal>> {
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
        .fetch_optional(&mut **transaction)
        .await?;
        if let Some(row) = cancelled {
            let cancelled = StoredOrder::from(row);
            self.cache
                .update_after_commit(transaction, &self.context, cancelled);
            return Ok(());
        }
        let existed = sqlx::query_scalar!(
            r#"/* cancel_order_why */ SELECT EXISTS (SELECT FROM orders WHERE id = $1 AND subject = $2) AS "existed!""#,
            self.id,
            self.subject
        )
        .fetch_one(&mut **transaction)
        .await?;
        Err(TransactionError::Refused(if existed {
            CancelOrderRefusal::Gone
        } else {
            CancelOrderRefusal::NotFound
        }))
    }
}
