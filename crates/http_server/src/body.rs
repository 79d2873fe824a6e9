//! The request body, shared between whoever reads it and the answer.
//!
//! Where an answer goes out before the body was read, the framework drains a *dropped* chunked body
//! without any limit. As long as the answer owns the body, it closes the connection instead, after
//! lingering for a second so that the caller can read the answer.

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
use futures_util::{Stream, StreamExt};

/// The body of a request. Clones are the same body.
#[derive(Clone)]
pub(super) struct RequestBody(Rc<RefCell<Payload>>);

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestBody")
    }
}

impl RequestBody {
    /// Takes the body out of a request and leaves a clone in its place; nothing where there is no body.
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

    /// An answer's body that owns the request's until it is written.
    pub(super) fn held_by(unread: Option<Self>, answer: BoxBody) -> BoxBody {
        match unread {
            Some(unread) => BoxBody::new(Holding {
                answer,
                _unread: unread,
            }),
            None => answer,
        }
    }
}

impl Stream for RequestBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().poll_next_unpin(context)
    }
}

struct Holding {
    answer: BoxBody,
    _unread: RequestBody,
}

impl MessageBody for Holding {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.answer).poll_next(context)
    }
}
