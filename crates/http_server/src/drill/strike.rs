//! Where the fault of a [drill](super) strikes a request.

use std::time::Duration;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};

use super::FaultKind;
use crate::{RequestExt, routes::Served};

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
