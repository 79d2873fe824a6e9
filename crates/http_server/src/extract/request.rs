//! Extractors for what a handler needs besides the client's input.

use std::{
    future::{Ready, ready},
    ops::Deref,
};

use actix_web::{Error, FromRequest, HttpRequest, dev::Payload, http::header, web::Data};
use runtime::RequestContext;

use crate::{
    RequestExt,
    operations::{Argument, sealed_argument as sealed},
};

/// The context of the request.
pub struct Context(pub RequestContext);

impl Deref for Context {
    type Target = RequestContext;

    fn deref(&self) -> &RequestContext {
        &self.0
    }
}

impl FromRequest for Context {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(request.context())))
    }
}

/// The state of the service.
#[derive(Debug)]
pub struct State<T>(Data<T>);

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: 'static> FromRequest for State<T> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = request
            .app_data::<Data<T>>()
            .expect("the server registers the state of the service");
        ready(Ok(Self(state.clone())))
    }
}

impl sealed::Argument for Context {}

impl Argument for Context {}

impl<T> sealed::Argument for State<T> {}

impl<T: 'static> Argument for State<T> {}

/// The state that the layers share, for the pages of this crate.
pub(crate) struct Shared(Data<crate::Shared>);

impl Deref for Shared {
    type Target = crate::Shared;

    fn deref(&self) -> &crate::Shared {
        &self.0
    }
}

impl FromRequest for Shared {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(request.shared().clone())))
    }
}

/// Whether the client accepts HTML, as browsers do.
pub(crate) struct WantsHtml(pub(crate) bool);

impl FromRequest for WantsHtml {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let accept = request.headers().get(header::ACCEPT);
        let accept = accept.and_then(|value| value.to_str().ok());
        ready(Ok(Self(
            accept.is_some_and(|accept| accept.contains("text/html")),
        )))
    }
}

impl sealed::Argument for Shared {}

impl Argument for Shared {}

impl sealed::Argument for WantsHtml {}

impl Argument for WantsHtml {}
