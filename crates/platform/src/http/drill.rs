//! A fault that a drill switches on, on the management port, where `faults.enabled` allows it: the honest way to see
//! alerts fire and a release be taken back. Probes and metrics are spared.

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

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
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Platform;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// The handler panics: a bug.
    Panic,
    /// The handler answers later.
    Latency,
}

/// A fault that is switched on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    kind: Kind,
    /// Only here, as the contract writes it, such as `/v1/things/{id}`; everywhere without it.
    route: Option<String>,
    /// Of so many requests, 0 to 1.
    #[serde(default = "all")]
    share: f64,
    /// For `latency`.
    #[serde(default)]
    ms: u64,
}

fn all() -> f64 {
    1.0
}

/// The fault that is switched on, if one is.
#[derive(Debug, Default)]
pub(crate) struct Drill(RwLock<Option<Fault>>);

impl Drill {
    fn set(&self, fault: Option<Fault>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    fn fault(&self) -> Option<Fault> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Innermost: what strikes here looks like the handler's own doing.
pub(super) async fn strike(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let platform = request.app_data::<Data<Platform>>().expect("set by the server");
    if platform.settings.faults.enabled
        && let Some(fault) = platform.drill.fault()
        && fault
            .route
            .is_none_or(|route| request.match_pattern().as_deref() == Some(&route))
        && fastrand::f64() < fault.share
    {
        match fault.kind {
            Kind::Panic => panic!("a drill"),
            Kind::Latency => tokio::time::sleep(Duration::from_millis(fault.ms)).await,
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
    tracing::warn!(fault = ?fault.0, "a fault is switched on");
    platform.drill.set(Some(fault.into_inner()));
    HttpResponse::NoContent().finish()
}

/// Switches it off.
#[delete("/faults")]
pub(super) async fn switched_off(platform: Data<Platform>) -> HttpResponse {
    tracing::warn!("the fault is switched off");
    platform.drill.set(None);
    HttpResponse::NoContent().finish()
}
