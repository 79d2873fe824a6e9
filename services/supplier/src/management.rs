//! Switches, and what was received.

use actix_web::{HttpResponse, delete, get, put, web};
use serde_json::json;

use crate::{
    faults::{Endpoint, Fault},
    server::State,
};

/// Always well: its faults are in its answers, not in the process.
#[get("/livez")]
pub(crate) async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "live" }))
}

/// The faults that are switched on.
#[get("/faults")]
pub(crate) async fn list(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(state.faults.all())
}

/// Switches a fault on, in place of the one before.
#[put("/faults/{endpoint}")]
pub(crate) async fn switch_on(
    state: web::Data<State>,
    endpoint: web::Path<Endpoint>,
    fault: web::Json<Fault>,
) -> HttpResponse {
    state.faults.set(endpoint.into_inner(), Some(fault.into_inner()));
    HttpResponse::NoContent().finish()
}

/// Switches the fault off.
#[delete("/faults/{endpoint}")]
pub(crate) async fn switch_off(state: web::Data<State>, endpoint: web::Path<Endpoint>) -> HttpResponse {
    state.faults.set(endpoint.into_inner(), None);
    HttpResponse::NoContent().finish()
}

/// What was received so far.
#[get("/received")]
pub(crate) async fn received(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(state.counts())
}
