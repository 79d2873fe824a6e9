//! Who comes in: refused here, a request costs next to nothing.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web::Data,
};
use outcome::common;

use runtime::Phase;

use crate::Shared;

crate::refusal! {
    /// How a request can be refused at the door.
    pub enum AdmissionRefusal {
        /// 431: the head is over our limit.
        HeadTooLarge => common::HEAD_TOO_LARGE, "the request line and headers are over the limit";
        /// 503: this process is going away.
        ShuttingDown => common::SHUTTING_DOWN, "this instance takes no new requests";
        /// 503: as many requests as allowed are in flight.
        Overloaded => common::OVERLOADED, "too many requests are in flight";
    }
}

/// Lets the request in, or not, before its body is read.
pub(super) async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let shared = request.app_data::<Data<Shared>>().expect("set by the server");
    if shared.lifecycle.phase() == Phase::Draining {
        return Err(AdmissionRefusal::ShuttingDown.into());
    }
    if head_size(&request) > shared.settings.max_head_bytes {
        return Err(AdmissionRefusal::HeadTooLarge.into());
    }
    let _place = shared.in_flight.try_enter().ok_or(AdmissionRefusal::Overloaded)?;
    next.call(request).await
}

/// The size of the head as it came, give or take white space.
fn head_size(request: &ServiceRequest) -> usize {
    let line = request.method().as_str().len() + request.uri().to_string().len() + " HTTP/1.1\r\n".len() + 1;
    request.headers().iter().fold(line, |size, (name, value)| {
        size + name.as_str().len() + value.len() + ": \r\n".len()
    })
}
