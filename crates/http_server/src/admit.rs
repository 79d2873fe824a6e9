//! Who comes in: refused here, a request costs next to nothing.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};
use macros::Refusal;
use outcome::common;

use runtime::Phase;

use crate::{RequestExt, refuse};

/// How a request can be refused at the door.
#[derive(Debug, Refusal)]
pub enum AdmissionRefusal {
    /// 431: the head is over our limit.
    #[problem(common::HEAD_TOO_LARGE, "the request line and headers are over the limit")]
    HeadTooLarge,
    /// 503: this process is going away.
    #[problem(common::SHUTTING_DOWN, "this instance takes no new requests")]
    ShuttingDown,
    /// 503: as many requests as allowed are in flight.
    #[problem(common::OVERLOADED, "too many requests are in flight")]
    Overloaded,
}

/// Lets the request in, or not, before its body is read.
pub(super) async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let shared = request.shared().clone();
    if shared.lifecycle.phase() == Phase::Draining {
        return Err(refuse(AdmissionRefusal::ShuttingDown));
    }
    if head_size(&request) > shared.settings.max_head_bytes {
        return Err(refuse(AdmissionRefusal::HeadTooLarge));
    }
    let _place = shared
        .in_flight
        .try_enter()
        .ok_or_else(|| refuse(AdmissionRefusal::Overloaded))?;
    next.call(request).await
}

/// The size of the head as it came, give or take white space.
fn head_size(request: &ServiceRequest) -> usize {
    let line = request.method().as_str().len() + request.uri().to_string().len() + " HTTP/1.1\r\n".len() + 1;
    request.headers().iter().fold(line, |size, (name, value)| {
        size + name.as_str().len() + value.len() + ": \r\n".len()
    })
}
