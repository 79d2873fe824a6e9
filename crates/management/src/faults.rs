//! Switches fault injection on and off. Metrics and `/livez` are not affected by faults.

use actix_web::{
    HttpResponse, delete, get, put,
    web::{Data, Json},
};
use http_server::fault_injection::InjectedFault;
use serde_json::json;

use crate::Management;

/// Returns the fault that is switched on.
#[get("/faults")]
pub(crate) async fn get_fault(management: Data<Management>) -> HttpResponse {
    HttpResponse::Ok()
        .json(json!({ "enabled": management.faults_enabled, "fault": management.fault_injection.fault() }))
}

/// Switches a fault on in place of the previous one.
#[put("/faults")]
pub(crate) async fn switch_on(management: Data<Management>, fault: Json<InjectedFault>) -> HttpResponse {
    if !management.faults_enabled {
        return HttpResponse::Forbidden().json(json!({ "reason": "faults.enabled is not set" }));
    }
    management.fault_injection.switch_on(fault.into_inner());
    HttpResponse::NoContent().finish()
}

/// Switches the fault off.
#[delete("/faults")]
pub(crate) async fn switch_off(management: Data<Management>) -> HttpResponse {
    management.fault_injection.switch_off();
    HttpResponse::NoContent().finish()
}
