//! `POST /v1/orders`

use database::{
    Fault, Transaction, TransactionError, UnitOfWork,
    idempotency::{Answer, Effect, IdempotencyRefusal},
};
use http_server::{
    Created, Recorded, Refusal,
    extract::{Body, Caller, Context, IdempotencyKey, State},
    operation,
};
use jobs::{QueueRefusal, enqueue};
use runtime::RequestContext;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;
use validator::{Validate, ValidationError};

use crate::{jobs::SendConfirmation, state::Api};

use super::{CURRENCY, Item, Order, OrdersWrite};

/// An order to be placed.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOrder {
    /// Where the confirmation goes.
    #[validate(
        email(message = "must be an e-mail address"),
        custom(
            function = "has_no_gaps",
            code = "email",
            message = "must be an e-mail address"
        )
    )]
    #[schema(format = Email, example = "ada@example.com")]
    customer_email: String,
    /// ISO 4217.
    #[validate(regex(path = *CURRENCY, code = "pattern", message = "must be three letters A-Z"))]
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: String,
    /// What is ordered.
    #[validate(length(min = 1, max = 50, message = "must have 1 to 50 items"), nested)]
    #[schema(min_items = 1, max_items = 50)]
    items: Vec<Item>,
    /// The customer's words.
    #[validate(length(max = 500, message = "must have at most 500 characters"))]
    #[schema(max_length = 500)]
    note: Option<String>,
}

/// No white space or control characters, which could end a header line of the mail.
fn has_no_gaps(address: &str) -> Result<(), ValidationError> {
    let gap = |character: char| character.is_whitespace() || character.is_control();
    if address.contains(gap) {
        Err(ValidationError::new("email"))
    } else {
        Ok(())
    }
}

/// Every way in which placing an order can be refused.
#[derive(Debug, Refusal)]
pub enum CreateOrderRefusal {
    /// Everything in [`QueueRefusal`].
    #[refusal(transparent)]
    Queue(QueueRefusal),
    /// Everything in [`IdempotencyRefusal`].
    #[refusal(transparent)]
    Idempotency(IdempotencyRefusal),
    /// Everything in [`Fault`].
    #[refusal(transparent)]
    Database(Fault),
}

/// Places an order. Sent again with the same key, it answers the same and places nothing.
#[operation(POST "/v1/orders", scope = OrdersWrite)]
pub async fn create_order(
    caller: Caller,
    key: IdempotencyKey,
    request: Body<CreateOrder>,
    context: Context,
    api: State<Api>,
) -> Result<Recorded<Created<Order>>, CreateOrderRefusal> {
    api.queue.admit()?;
    let place = PlaceOrder {
        effect: key.effect(&caller, &request.0, api.idempotency_retention),
        subject: caller.subject,
        request: request.0,
        context: context.clone(),
    };
    let answer = api.database.transaction(place, &context).await?;
    if let Some(id) = answer.resource_id() {
        context.annotate("order.id", id);
    }
    Ok(Recorded::from(answer))
}

struct PlaceOrder {
    effect: Effect,
    subject: String,
    request: CreateOrder,
    context: RequestContext,
}

impl UnitOfWork for PlaceOrder {
    const NAME: &'static str = "create_order";
    type Output = Answer;
    type Refusal = CreateOrderRefusal;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Answer, TransactionError<CreateOrderRefusal>> {
        if let Some(recorded) = self.effect.begin(transaction).await? {
            return Ok(recorded);
        }
        let CreateOrder {
            customer_email,
            currency,
            items,
            note,
        } = &self.request;
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
            Json(items) as _,
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
            items: items.clone(),
            total_cents,
            note: note.clone(),
            created_at: row.created_at,
        };
        let answer = Answer::created(format!("/v1/orders/{id}"), &order);
        self.effect.record(transaction, &answer).await?;
        Ok(answer)
    }
}
