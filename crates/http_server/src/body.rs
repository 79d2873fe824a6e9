//! The request body, shared between its reader and the response.
//!
//! When a response is sent before the request body has been read, the framework drains a *dropped* chunked body
//! without any limit. While the response owns the body, the framework closes the connection instead, after lingering
//! for a second so that the client can read the response.

use std::{
    cell::RefCell,
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    HttpMessage,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest},
    error::PayloadError,
    web::Bytes,
};
use connections::Busy;
use futures_util::{Stream, StreamExt};

/// The body of a request. Clones share the same body.
#[derive(Clone)]
pub(super) struct RequestBody(Rc<RefCell<Payload>>);

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestBody")
    }
}

impl RequestBody {
    /// Takes the body out of a request and leaves a clone in its place; `None` if the request has no body.
    pub(super) fn share(request: &mut ServiceRequest) -> Option<Self> {
        let payload = request.take_payload();
        if matches!(payload, Payload::None) {
            return None;
        }
        let body = Self(Rc::new(RefCell::new(payload)));
        request.set_payload(Payload::Stream {
            payload: Box::pin(body.clone()),
        });
        Some(body)
    }
}

impl Stream for RequestBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().poll_next_unpin(context)
    }
}

/// Wraps a response body so that it owns the request body, and a stream also keeps its connection busy, until the
/// response has been written.
pub(super) fn guarded(response: BoxBody, unread: Option<RequestBody>, busy: Option<Busy>) -> BoxBody {
    let busy = busy.filter(|_| matches!(response.size(), BodySize::Stream));
    if unread.is_none() && busy.is_none() {
        return response;
    }
    BoxBody::new(BodyGuard {
        response,
        _unread: unread,
        _busy: busy,
    })
}

struct BodyGuard {
    response: BoxBody,
    _unread: Option<RequestBody>,
    _busy: Option<Busy>,
}

impl MessageBody for BodyGuard {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.response.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.response).poll_next(context)
    }
}
