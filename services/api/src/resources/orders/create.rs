//! `POST /v1/orders`

use database::{
    DatabaseError, Transaction, TransactionError, UnitOfWork,
    idempotency::{IdempotencyRefusal, IdempotentRequest, RecordedResponse},
};
use http_server::{
    Created, Recorded, Refusal,
    extract::{Body, Caller, Context, IdempotencyKey, State},
    operation,
};
use jobs::{Queue, QueueRefusal, enqueue};
use runtime::RequestContext;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;
use validator::{Validate, ValidationError};

use crate::{jobs::SendConfirmation, state::Api};

use super::{CURRENCY, Item, NewItem, Order, OrdersWrite};

/// An order to be placed.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateOrder {
    /// The e-mail address for the confirmation.
    #[validate(
        email(message = "must be an e-mail address"),
        custom(
            function = "no_whitespace_or_control",
            code = "email",
            message = "must be an e-mail address"
        )
    )]
    #[schema(format = Email, example = "ada@example.com")]
    customer_email: String,
    /// The currency (ISO 4217).
    #[validate(regex(path = *CURRENCY, code = "pattern", message = "must be three letters A-Z"))]
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: String,
    /// The ordered items.
    #[validate(length(min = 1, max = 50, message = "must have 1 to 50 items"), nested)]
    #[schema(min_items = 1, max_items = 50)]
    items: Vec<NewItem>,
    /// A note from the customer.
    #[validate(length(max = 500, message = "must have at most 500 characters"))]
    #[schema(max_length = 500)]
    note: Option<String>,
}

/// Rejects white space and control characters, which could inject a header into the e-mail.
fn no_whitespace_or_control(address: &str) -> Result<(), ValidationError> {
    let forbidden = |character: char| character.is_whitespace() || character.is_control();
    if address.contains(forbidden) {
        Err(ValidationError::new("email"))
    } else {
        Ok(())
    }
}

/// Every way in which placing an order can be refused.
#[derive(Debug, Refusal)]
pub(super) enum CreateOrderRefusal {
    /// Everything in [`QueueRefusal`].
    #[refusal(transparent)]
    Queue(QueueRefusal),
    /// Everything in [`IdempotencyRefusal`].
    #[refusal(transparent)]
    Idempotency(IdempotencyRefusal),
    /// Everything in [`DatabaseError`].
    #[refusal(transparent)]
    Database(DatabaseError),
}

/// Places an order.
///
/// A repeated request with the same idempotency key returns the first response and places no other order.
#[operation(POST "/v1/orders", scope = OrdersWrite, links(get_order.id = "/id", cancel_order.id = "/id"))]
pub(super) async fn create_order(
    caller: Caller,
    key: IdempotencyKey,
    request: Body<CreateOrder>,
    context: Context,
    api: State<Api>,
) -> Result<Recorded<Created<Order>>, CreateOrderRefusal> {
    let place_order = PlaceOrder {
        queue: api.queue.clone(),
        idempotent: key.request(&caller, &request.0, api.idempotency_retention),
        subject: caller.subject,
        request: request.0,
        context: context.clone(),
    };
    let response = api.database.transaction(place_order, &context).await?;
    if let Some(id) = response.resource_id() {
        context.annotate("order.id", id);
    }
    Ok(Recorded::from(response))
}

struct PlaceOrder {
    queue: Queue,
    idempotent: IdempotentRequest,
    subject: String,
    request: CreateOrder,
    context: RequestContext,
}

impl UnitOfWork for PlaceOrder {
    const NAME: &'static str = "create_order";
    type Output = RecordedResponse;
    type Refusal = CreateOrderRefusal;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<RecordedResponse, TransactionError<CreateOrderRefusal>> {
        if let Some(recorded) = self.idempotent.begin(transaction).await? {
            return Ok(recorded);
        }
        // After the lookup: a repeated request gets its response even if the queue is full.
        self.queue
            .admit()
            .map_err(|full| TransactionError::Refused(full.into()))?;
        let CreateOrder {
            customer_email,
            currency,
            items,
            note,
        } = &self.request;
        let items: Vec<Item> = items.iter().cloned().map(Item::from).collect();
        let total_cents: i64 = items
            .iter()
            .map(|item| item.quantity * item.unit_price_cents)
            .sum();
        let id = Uuid::now_v7();
        let row = sqlx::query!(
            "/* create_order */
            INSERT INTO orders (id, subject, customer_email, currency, items, total_cents, note)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            RETURNING status, created_at",
            id,
            self.subject,
            customer_email,
            currency,
            Json(&items) as _,
            total_cents,
            note.as_deref(),
        )
        .fetch_one(&mut **transaction)
        .await?;
        enqueue(
            transaction,
            &self.subject,
            &SendConfirmation { order_id: id },
            &self.context,
        )
        .await?;
        let order = Order {
            id,
            status: row.status,
            customer_email: customer_email.clone(),
            currency: currency.clone(),
            items,
            total_cents,
            note: note.clone(),
            created_at: row.created_at,
        };
        let response = RecordedResponse::created(format!("/v1/orders/{id}"), &order);
        self.idempotent.record(transaction, &response).await?;
        Ok(response)
    }
}
