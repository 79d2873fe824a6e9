//! `POST /v1/quotes`

use chrono::{DateTime, Utc};
use http_server::{
    Json, Refusal,
    extract::{Body, Context, State},
    operation,
};
use serde::{Deserialize, Serialize};
use upstream::{UpstreamError, UpstreamResponse};
use utoipa::ToSchema;
use validator::Validate;

use super::orders::{CURRENCY, OrdersRead, SKU};
use crate::{problems, state::Api};

/// A request for a price.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateQuote {
    /// The currency of the price (ISO 4217).
    #[validate(regex(path = *CURRENCY, code = "pattern", message = "must be three letters A-Z"))]
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: String,
    /// The items to quote.
    #[validate(length(min = 1, max = 50, message = "must have 1 to 50 items"), nested)]
    #[schema(min_items = 1, max_items = 50)]
    items: Vec<QuoteItem>,
}

/// An item to quote.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct QuoteItem {
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
}

/// A price.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Quote {
    /// The total price of all items, in cents.
    #[schema(example = 3998)]
    total_cents: i64,
    /// The currency (ISO 4217).
    #[schema(example = "EUR")]
    currency: String,
    /// The time until which the price is valid.
    valid_until: DateTime<Utc>,
}

/// Every way in which a quote can be refused.
#[derive(Debug, Refusal)]
pub(super) enum CreateQuoteRefusal {
    /// 422: the supplier refuses to quote a price.
    #[problem(problems::QUOTE_REJECTED, "the supplier offers no price for these items")]
    Rejected,
    /// Everything in [`UpstreamError`].
    #[refusal(transparent)]
    Supplier(UpstreamError),
}

/// Requests a price from the supplier.
///
/// The request has no side effects, so it needs no idempotency key.
#[operation(POST "/v1/quotes", scope = OrdersRead)]
pub(super) async fn create_quote(
    request: Body<CreateQuote>,
    context: Context,
    api: State<Api>,
) -> Result<Json<Quote>, CreateQuoteRefusal> {
    match api
        .supplier
        .quote(&context, &request.0.currency, &request.0)
        .await?
    {
        UpstreamResponse::Value(quote) => Ok(Json(Quote {
            total_cents: quote.total_cents,
            currency: quote.currency,
            valid_until: quote.valid_until,
        })),
        UpstreamResponse::Refused(_) => Err(CreateQuoteRefusal::Rejected),
    }
}
