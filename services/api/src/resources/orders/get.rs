//! `GET /v1/orders/{id}`

use cache::Load;
use chrono::NaiveDate;
use database::{Fault, Transaction, TransactionError, UnitOfWork};
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
pub enum GetOrderRefusal {
    /// 404: there is none with this id, or it is another subject's.
    #[problem(problems::ORDER_NOT_FOUND, "there is no order with this id for you")]
    NotFound,
    /// 410: it was cancelled.
    #[problem(problems::ORDER_GONE, "this order was cancelled")]
    Gone,
    /// Everything in [`Fault`].
    #[refusal(transparent)]
    Database(Fault),
}

/// What to add to the order.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Parameters {
    /// `delivery`: when the order is expected to arrive, as far as the supplier can tell.
    #[param(inline)]
    include: Option<Include>,
}

/// Something that can be added.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Include {
    Delivery,
}

/// An order, with what was asked for besides.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderWithExtras {
    #[serde(flatten)]
    order: Order,
    #[serde(flatten)]
    extras: Option<Extras>,
}

/// What was asked for with `include`.
#[derive(Debug, Serialize, ToSchema)]
struct Extras {
    /// When it is expected; null where nobody knows.
    delivery: Option<Delivery>,
    /// Parts that the supplier could not tell right now: they are missing, or as old as they say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<&'static str>,
}

/// When an order is expected.
#[derive(Debug, Serialize, ToSchema)]
struct Delivery {
    /// The day.
    estimated_on: NaiveDate,
    /// Present where the supplier cannot be asked: seconds since it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<u64>,
}

/// One order.
#[operation(GET "/v1/orders/{id}", scope = OrdersRead)]
pub async fn get_order(
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

/// A supplier that cannot tell does not take the order away from its owner.
async fn delivery_of(id: &Uuid, context: &RequestContext, supplier: &Supplier) -> Extras {
    match supplier.delivery(context, id).await {
        Ok(estimate) => Extras {
            delivery: estimate.map(|estimate| Delivery {
                estimated_on: estimate.estimated_on,
                age_seconds: None,
            }),
            degraded: Vec::new(),
        },
        Err(fault) => {
            tracing::warn!(
                ?fault,
                "the supplier cannot tell about the delivery; answering without"
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
    type Refusal = Fault;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Option<StoredOrder>, TransactionError<Fault>> {
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
