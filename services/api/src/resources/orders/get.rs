//! `GET /v1/orders/{id}`

use actix_web::{HttpResponse, get, http::header, web::Data};
use platform::{
    Platform,
    context::RequestContext,
    http::{auth::Caller, extract::Path},
    postgres::{Abort, Fault, UnitOfWork},
};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{
    Item, Order, OrdersRead,
    model::{OrderRow, StoredOrder},
};
use crate::problems;

platform::refusal! {
    /// Every way in which reading an order can be refused.
    pub enum GetOrderRefusal {
        /// 404: there is none with this id, or it is another subject's.
        NotFound => problems::ORDER_NOT_FOUND, "there is no order with this id for you";
        /// 410: it was cancelled.
        Gone => problems::ORDER_GONE, "this order was cancelled";
        ..Database(Fault);
    }
}

/// One order.
#[utoipa::path(
    tag = "orders",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = Order, headers(("Age" = Option<u64>, description = "Seconds; only when the database cannot answer"))),
        GetOrderRefusal
    ),
    security(("bearer" = ["orders:read"]))
)]
#[get("/v1/orders/{id}")]
pub async fn get_order(
    caller: Caller<OrdersRead>,
    id: Path<Uuid>,
    context: RequestContext,
    platform: Data<Platform>,
) -> Result<HttpResponse, GetOrderRefusal> {
    let found = platform
        .cache::<StoredOrder>()
        .read(&context, &id.0.to_string(), OrderById(id.0))
        .await?;
    let found = found
        .filter(|found| found.value.subject == caller.subject)
        .ok_or(GetOrderRefusal::NotFound)?;
    if found.value.is_cancelled() {
        return Err(GetOrderRefusal::Gone);
    }
    let mut response = HttpResponse::Ok();
    if let Some(age) = found.stale_for {
        response.insert_header((header::AGE, age.as_secs()));
    }
    Ok(response.json(found.value.order))
}

struct OrderById(Uuid);

impl UnitOfWork for OrderById {
    const NAME: &'static str = "get_order";
    type Output = Option<StoredOrder>;
    type Refusal = Fault;

    async fn run(&self, connection: &mut PgConnection) -> Result<Option<StoredOrder>, Abort<Fault>> {
        let row = sqlx::query_as!(
            OrderRow,
            r#"/* get_order */
            SELECT id, subject, status, customer_email, currency, items AS "items: Json<Vec<Item>>",
                   total_cents, note, version, created_at
            FROM orders WHERE id = $1"#,
            self.0
        );
        Ok(row.fetch_optional(connection).await?.map(Into::into))
    }
}
