//! The management port: fault injection, and counts of received requests.

use actix_web::{HttpResponse, delete, get, put, web};
use serde_json::json;

use crate::{
    faults::{Endpoint, Fault},
    server::State,
};

/// Always returns 200: faults affect the responses of the API, not the process.
#[get("/livez")]
pub(crate) async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "live" }))
}

/// Lists the active faults.
#[get("/faults")]
pub(crate) async fn list(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(state.faults.all())
}

/// Injects a fault into an endpoint, replacing the previous one.
#[put("/faults/{endpoint}")]
pub(crate) async fn switch_on(
    state: web::Data<State>,
    endpoint: web::Path<Endpoint>,
    fault: web::Json<Fault>,
) -> HttpResponse {
    state.faults.set(endpoint.into_inner(), Some(fault.into_inner()));
    HttpResponse::NoContent().finish()
}

/// Removes the fault of an endpoint.
#[delete("/faults/{endpoint}")]
pub(crate) async fn switch_off(state: web::Data<State>, endpoint: web::Path<Endpoint>) -> HttpResponse {
    state.faults.set(endpoint.into_inner(), None);
    HttpResponse::NoContent().finish()
}

/// Returns what was received so far.
#[get("/received")]
pub(crate) async fn received(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(state.counts())
}
