//! `DELETE /v1/orders/{id}`

use cache::ReadCache;
use database::{DatabaseError, Transaction, TransactionError, UnitOfWork};
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
pub(super) enum CancelOrderRefusal {
    /// 404: no order has this id, or the order belongs to another subject.
    #[problem(problems::ORDER_NOT_FOUND, "no order with this id exists for this subject")]
    NotFound,
    /// 410: the order was already cancelled.
    #[problem(problems::ORDER_GONE, "this order was already cancelled")]
    Gone,
    /// Everything in [`DatabaseError`].
    #[refusal(transparent)]
    Database(DatabaseError),
}

/// Cancels an order.
///
/// Later requests for the order return 410.
#[operation(DELETE "/v1/orders/{id}", scope = OrdersWrite)]
pub(super) async fn cancel_order(
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
