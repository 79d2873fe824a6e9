//! `POST /v1/quotes`

use chrono::{DateTime, Utc};
use http_server::{
    Json, Refusal,
    extract::{Body, Context, State},
    operation,
};
use serde::{Deserialize, Serialize};
use upstream::{Answer, UpstreamFault};
use utoipa::ToSchema;
use validator::Validate;

use super::orders::{CURRENCY, OrdersRead, SKU};
use crate::{problems, state::Api};

/// What a price is wanted for.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateQuote {
    /// ISO 4217.
    #[validate(regex(path = *CURRENCY, code = "pattern", message = "must be three letters A-Z"))]
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: String,
    /// The items.
    #[validate(length(min = 1, max = 50, message = "must have 1 to 50 items"), nested)]
    #[schema(min_items = 1, max_items = 50)]
    items: Vec<QuoteItem>,
}

/// So many of these.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuoteItem {
    /// What.
    #[validate(regex(path = *SKU, code = "pattern", message = "must be 2 to 8 of A-Z and 0-9, a dash, and 1 to 12 more"))]
    #[schema(pattern = "^[A-Z0-9]{2,8}-[A-Z0-9]{1,12}$", example = "ABC-1234")]
    sku: String,
    /// How many.
    #[validate(range(min = 1, max = 1000, message = "must be between 1 and 1000"))]
    #[schema(minimum = 1, maximum = 1000, example = 2)]
    quantity: i64,
}

/// A price.
#[derive(Debug, Serialize, ToSchema)]
pub struct Quote {
    /// For all items together.
    total_cents: i64,
    /// ISO 4217.
    currency: String,
    /// Until when it holds.
    valid_until: DateTime<Utc>,
}

/// Every way in which a quote can be refused.
#[derive(Debug, Refusal)]
pub enum CreateQuoteRefusal {
    /// 422: the supplier has no price for this.
    #[problem(problems::QUOTE_REJECTED, "the supplier does not quote for these items")]
    Rejected,
    /// Everything in [`UpstreamFault`].
    #[refusal(transparent)]
    Supplier(UpstreamFault),
}

/// Asks the supplier for a price. It has no effect, so it needs no key.
#[operation(POST "/v1/quotes", scope = OrdersRead)]
pub async fn create_quote(
    request: Body<CreateQuote>,
    context: Context,
    api: State<Api>,
) -> Result<Json<Quote>, CreateQuoteRefusal> {
    match api
        .supplier
        .quote(&context, &request.0.currency, &request.0)
        .await?
    {
        Answer::Value(quote) => Ok(Json(Quote {
            total_cents: quote.total_cents,
            currency: quote.currency,
            valid_until: quote.valid_until,
        })),
        Answer::Refused(_) => Err(CreateQuoteRefusal::Rejected),
    }
}
