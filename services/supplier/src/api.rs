//! What the supplier sells.

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use chrono::{Days, Utc};
use serde::Deserialize;
use serde_json::json;

use crate::{faults::Endpoint, server::State};

/// What one piece costs here, whatever it is.
const UNIT_PRICE_CENTS: i64 = 1_999;
const QUOTE_VALID_DAYS: u64 = 7;
const DELIVERY_DAYS: u64 = 3;
/// It does not sell these.
const NOT_SOLD: &str = "NONE-";

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

/// A price for these items; 422 where one of them is not sold here.
#[post("/v1/quotes")]
pub(crate) async fn quote(
    request: HttpRequest,
    state: web::Data<State>,
    quote: web::Json<QuoteRequest>,
) -> HttpResponse {
    state.received(Endpoint::Quotes, &request);
    if let Some(answer) = state.faults.strike(Endpoint::Quotes, &request).await {
        return answer;
    }
    if quote.items.iter().any(|item| item.sku.starts_with(NOT_SOLD)) {
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

/// When an order will be delivered.
#[get("/v1/deliveries/{order_id}")]
pub(crate) async fn delivery(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    state.received(Endpoint::Deliveries, &request);
    if let Some(answer) = state.faults.strike(Endpoint::Deliveries, &request).await {
        return answer;
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

/// Tells a customer something, once per `Idempotency-Key`.
#[post("/v1/notifications")]
pub(crate) async fn notify(
    request: HttpRequest,
    state: web::Data<State>,
    _notification: web::Json<Notification>,
) -> HttpResponse {
    state.received(Endpoint::Notifications, &request);
    if let Some(answer) = state.faults.strike(Endpoint::Notifications, &request).await {
        return answer;
    }
    let key = request
        .headers()
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok());
    let Some(key) = key else {
        return HttpResponse::BadRequest().json(json!({ "message": "a key is needed" }));
    };
    let first = state.notify(key);
    HttpResponse::Accepted().json(json!({ "first": first }))
}
