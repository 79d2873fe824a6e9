//! Load shedding: refuses requests while they have cost next to nothing.

use std::sync::atomic::Ordering;

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

/// One in this many shed requests is logged and traced.
const RECORDED: u64 = 100;

/// The ways load shedding can refuse a request.
#[derive(Debug, Refusal)]
pub(crate) enum LoadSheddingRefusal {
    /// 431: the request line and headers exceed `http.max_head_bytes`.
    #[problem(common::HEAD_TOO_LARGE, "the request line and headers exceed the limit")]
    HeadTooLarge,
    /// 503: this process is shutting down.
    #[problem(common::SHUTTING_DOWN, "this instance no longer accepts requests")]
    ShuttingDown,
    /// 503: `http.max_in_flight` requests are in flight already.
    #[problem(common::OVERLOADED, "too many requests are in flight")]
    Overloaded,
}

/// Admits or refuses a request before its body is read.
pub(super) async fn shed_load(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let shared = request.shared().clone();
    if shared.lifecycle.phase() == Phase::Draining {
        return Err(shed(&request, LoadSheddingRefusal::ShuttingDown));
    }
    if head_size(&request) > shared.settings.max_head_bytes {
        return Err(refuse(LoadSheddingRefusal::HeadTooLarge));
    }
    let Some(_permit) = shared.in_flight.try_acquire() else {
        return Err(shed(&request, LoadSheddingRefusal::Overloaded));
    };
    next.call(request).await
}

/// Refuses a request. Of many, one in a hundred is logged and traced: the others would displace the failures worth
/// keeping, and cost more than the refusal.
fn shed(request: &ServiceRequest, refusal: LoadSheddingRefusal) -> Error {
    let earlier = request.shared().shed.fetch_add(1, Ordering::Relaxed);
    if !earlier.is_multiple_of(RECORDED) {
        request.context().set_quiet();
    }
    refuse(refusal)
}

/// The size of the request line and headers in bytes as received, except for differences in white space.
fn head_size(request: &ServiceRequest) -> usize {
    let line = request.method().as_str().len() + request.uri().to_string().len() + " HTTP/1.1\r\n".len() + 1;
    request.headers().iter().fold(line, |size, (name, value)| {
        size + name.as_str().len() + value.len() + ": \r\n".len()
    })
}
