//! The layer that applies an [injected fault](super) to requests.

use std::time::Duration;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};

use super::FaultKind;
use crate::{RequestExt, routes::Served};

/// The innermost layer, so that an injected fault looks like a failure of the handler.
pub(crate) async fn inject(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if let Some(fault) = request.shared().fault_injection.fault()
        && fault
            .route
            .is_none_or(|route| Served::of(&request).template == route)
        && fastrand::f64() < fault.share
    {
        match fault.kind {
            FaultKind::Panic => panic!("injected fault"),
            FaultKind::Latency => tokio::time::sleep(Duration::from_millis(fault.ms)).await,
            FaultKind::NotReady | FaultKind::Crash => {}
        }
    }
    next.call(request).await
}
