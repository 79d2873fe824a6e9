//! The switch of fault injection. Metrics and `/livez` are spared.

use actix_web::{
    HttpResponse, delete, get, put,
    web::{Data, Json},
};
use http_server::drill::Fault;
use serde_json::json;

use crate::Management;

/// The fault that is switched on.
#[get("/faults")]
pub(crate) async fn shown(management: Data<Management>) -> HttpResponse {
    HttpResponse::Ok()
        .json(json!({ "enabled": management.faults_enabled, "fault": management.drill.fault() }))
}

/// Switches a fault on, in place of the one before.
#[put("/faults")]
pub(crate) async fn switched_on(management: Data<Management>, fault: Json<Fault>) -> HttpResponse {
    if !management.faults_enabled {
        return HttpResponse::Forbidden().json(json!({ "reason": "faults.enabled is not set" }));
    }
    management.drill.switch_on(fault.into_inner());
    HttpResponse::NoContent().finish()
}

/// Switches it off.
#[delete("/faults")]
pub(crate) async fn switched_off(management: Data<Management>) -> HttpResponse {
    management.drill.switch_off();
    HttpResponse::NoContent().finish()
}
