//! Where the fault of a [drill](crate::drill) strikes a request, and its switch on the management port. Metrics and
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

use crate::{
    Platform,
    drill::{Fault, FaultKind},
};

/// Innermost: what strikes here looks like the handler's own doing.
pub(super) async fn strike(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let platform = request.app_data::<Data<Platform>>().expect("set by the server");
    if let Some(fault) = platform.drill.fault()
        && fault
            .route
            .is_none_or(|route| request.match_pattern().as_deref() == Some(&route))
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
pub(super) async fn shown(platform: Data<Platform>) -> HttpResponse {
    HttpResponse::Ok()
        .json(json!({ "enabled": platform.settings.faults.enabled, "fault": platform.drill.fault() }))
}

/// Switches a fault on, in place of the one before.
#[put("/faults")]
pub(super) async fn switched_on(platform: Data<Platform>, fault: Json<Fault>) -> HttpResponse {
    if !platform.settings.faults.enabled {
        return HttpResponse::Forbidden().json(json!({ "reason": "faults.enabled is not set" }));
    }
    platform.drill.switch_on(fault.into_inner());
    HttpResponse::NoContent().finish()
}

/// Switches it off.
#[delete("/faults")]
pub(super) async fn switched_off(platform: Data<Platform>) -> HttpResponse {
    platform.drill.switch_off();
    HttpResponse::NoContent().finish()
}
