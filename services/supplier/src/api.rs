//! The API of the supplier.

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use chrono::{Days, Utc};
use serde::Deserialize;
use serde_json::json;

use crate::{
    faults::{Endpoint, truncated},
    server::State,
};

/// The price of one unit of any item.
const UNIT_PRICE_CENTS: i64 = 1_999;
const QUOTE_VALID_DAYS: u64 = 7;
const DELIVERY_DAYS: u64 = 3;
/// The prefix of SKUs that the supplier does not sell.
const NOT_SOLD_PREFIX: &str = "NONE-";

#[derive(Deserialize)]
struct QuoteRequest {
    currency: String,
    items: Vec<QuoteItem>,
}

#[derive(Deserialize)]
struct QuoteItem {
    sku: String,
    quantity: i64,
}

/// Returns a price for the items, or 422 if the supplier does not sell one of them.
#[post("/v1/quotes")]
pub(crate) async fn quote(
    request: HttpRequest,
    state: web::Data<State>,
    quote: web::Json<QuoteRequest>,
) -> HttpResponse {
    state.record(Endpoint::Quotes, &request);
    if let Some(response) = state.faults.inject(Endpoint::Quotes, &request).await {
        return response;
    }
    if quote
        .items
        .iter()
        .any(|item| item.sku.starts_with(NOT_SOLD_PREFIX))
    {
        return HttpResponse::UnprocessableEntity()
            .json(json!({ "message": "supplier-internal: we do not sell that" }));
    }
    let total: i64 = quote
        .items
        .iter()
        .map(|item| item.quantity * UNIT_PRICE_CENTS)
        .sum();
    let valid_until = Utc::now() + Days::new(QUOTE_VALID_DAYS);
    HttpResponse::Ok()
        .json(json!({ "total_cents": total, "currency": quote.currency, "valid_until": valid_until }))
}

/// Returns the delivery estimate of an order.
#[get("/v1/deliveries/{order_id}")]
pub(crate) async fn delivery(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    state.record(Endpoint::Deliveries, &request);
    if let Some(response) = state.faults.inject(Endpoint::Deliveries, &request).await {
        return response;
    }
    let estimated_on = (Utc::now() + Days::new(DELIVERY_DAYS)).date_naive();
    HttpResponse::Ok().json(json!({ "estimated_on": estimated_on }))
}

#[derive(Deserialize)]
struct Notification {
    #[expect(dead_code, reason = "only its presence is checked")]
    order_id: uuid::Uuid,
    #[expect(dead_code, reason = "only its presence is checked")]
    email: String,
}

/// Notifies a customer, once per `Idempotency-Key`.
#[post("/v1/notifications")]
pub(crate) async fn notify(
    request: HttpRequest,
    state: web::Data<State>,
    _notification: web::Json<Notification>,
) -> HttpResponse {
    state.record(Endpoint::Notifications, &request);
    if let Some(response) = state.faults.inject(Endpoint::Notifications, &request).await {
        return response;
    }
    let key = request
        .headers()
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok());
    let Some(key) = key else {
        return HttpResponse::BadRequest()
            .json(json!({ "message": "the Idempotency-Key header is missing" }));
    };
    let first = state.notify(key);
    if state.faults.loses_response(Endpoint::Notifications) {
        return truncated();
    }
    HttpResponse::Accepted().json(json!({ "first": first }))
}
