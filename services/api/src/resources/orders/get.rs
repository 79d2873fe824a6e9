//! `GET /v1/orders/{id}`

use cache::Load;
use chrono::NaiveDate;
use database::{DatabaseError, Transaction, TransactionError, UnitOfWork};
use http_server::{
    Cached, Refusal,
    extract::{Caller, Context, Path, Query, State},
    operation,
};
use runtime::RequestContext;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use validator::Validate;

use super::{
    Item, Order, OrdersRead,
    model::{OrderRow, StoredOrder},
};
use crate::{problems, state::Api, supplier::Supplier};

/// Every way in which reading an order can be refused.
#[derive(Debug, Refusal)]
pub(super) enum GetOrderRefusal {
    /// 404: no order has this id, or the order belongs to another subject.
    #[problem(problems::ORDER_NOT_FOUND, "no order with this id exists for this subject")]
    NotFound,
    /// 410: the order was cancelled.
    #[problem(problems::ORDER_GONE, "this order was cancelled")]
    Gone,
    /// Everything in [`DatabaseError`].
    #[refusal(transparent)]
    Database(DatabaseError),
}

/// The query parameters of `GET /v1/orders/{id}`.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Parameters {
    /// `delivery` adds the supplier's delivery estimate, if it has one.
    #[param(inline)]
    include: Option<Include>,
}

/// A part that can be added to an order.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Include {
    Delivery,
}

/// An order with the parts requested with `include`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrderWithExtras {
    #[serde(flatten)]
    order: Order,
    #[serde(flatten)]
    extras: Option<Extras>,
}

/// The parts requested with `include`.
#[derive(Debug, Serialize, ToSchema)]
struct Extras {
    /// The delivery estimate; null if none is known.
    delivery: Option<Delivery>,
    /// Parts that the supplier could not provide, such as `delivery`: they are null or out of date.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<&'static str>,
}

/// The delivery estimate of an order.
#[derive(Debug, Serialize, ToSchema)]
struct Delivery {
    /// The day on which delivery is expected.
    estimated_on: NaiveDate,
    /// The age of the estimate in seconds; present only if the supplier failed and this is its last known estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<u64>,
}

/// Returns an order.
#[operation(GET "/v1/orders/{id}", scope = OrdersRead)]
pub(super) async fn get_order(
    caller: Caller,
    id: Path<Uuid>,
    parameters: Query<Parameters>,
    context: Context,
    api: State<Api>,
) -> Result<Cached<OrderWithExtras>, GetOrderRefusal> {
    context.annotate("order.id", id.0);
    let found = api.orders.read(&context, OrderById(id.0)).await?;
    let found = found
        .filter(|found| found.value.subject == caller.subject)
        .ok_or(GetOrderRefusal::NotFound)?;
    if found.value.is_cancelled() {
        return Err(GetOrderRefusal::Gone);
    }
    let extras = match parameters.0.include {
        Some(Include::Delivery) => Some(delivery_of(&id.0, &context, &api.supplier).await),
        None => None,
    };
    let order = OrderWithExtras {
        order: found.value.order,
        extras,
    };
    Ok(Cached::new(order, found.stale_for))
}

/// Returns the delivery estimate. A failure of the supplier degrades the response instead of failing it.
async fn delivery_of(id: &Uuid, context: &RequestContext, supplier: &Supplier) -> Extras {
    match supplier.delivery(context, id).await {
        Ok(estimate) => Extras {
            delivery: estimate.map(|estimate| Delivery {
                estimated_on: estimate.estimated_on,
                age_seconds: None,
            }),
            degraded: Vec::new(),
        },
        Err(error) => {
            tracing::warn!(
                fault = ?error,
                "the supplier returned no delivery estimate; responding without it"
            );
            let last = supplier.last_delivery(context, id).await;
            Extras {
                delivery: last.map(|(estimate, age)| Delivery {
                    estimated_on: estimate.estimated_on,
                    age_seconds: Some(age.as_secs()),
                }),
                degraded: vec!["delivery"],
            }
        }
    }
}

pub(crate) struct OrderById(pub(crate) Uuid);

impl UnitOfWork for OrderById {
    const NAME: &'static str = "get_order";
    type Output = Option<StoredOrder>;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Option<StoredOrder>, TransactionError<DatabaseError>> {
        let row = sqlx::query_as!(
            OrderRow,
            r#"/* get_order */
            SELECT id, subject, status, customer_email, currency, items AS "items: Json<Vec<Item>>",
                   total_cents, note, version, created_at
            FROM orders WHERE id = $1"#,
            self.0
        );
        Ok(row.fetch_optional(&mut **transaction).await?.map(Into::into))
    }
}

impl Load for OrderById {
    type Value = StoredOrder;

    fn id(&self) -> Uuid {
        self.0
    }
}
