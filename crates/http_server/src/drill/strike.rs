//! Where the fault of a [drill](super) strikes a request, and its switch on the management port. Metrics and
//! `/livez` are spared.

use std::time::Duration;

use actix_web::{
    Error, HttpResponse,
    body::MessageBody,
    delete,
    dev::{ServiceRequest, ServiceResponse},
    get,
    middleware::Next,
    put,
    web::{Data, Json},
};
use serde_json::json;

use super::{Fault, FaultKind};
use crate::{Management, RequestExt, routes::Served};

/// Innermost: what strikes here looks like the handler's own doing.
pub(crate) async fn strike(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if let Some(fault) = request.shared().drill.fault()
        && fault
            .route
            .is_none_or(|route| Served::of(&request).template == route)
        && fastrand::f64() < fault.share
    {
        match fault.kind {
            FaultKind::Panic => panic!("a drill"),
            FaultKind::Latency => tokio::time::sleep(Duration::from_millis(fault.ms)).await,
            FaultKind::NotReady | FaultKind::Crash => {}
        }
    }
    next.call(request).await
}

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
