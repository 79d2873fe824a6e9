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
        ready(Ok(Self(accept.is_some_and(prefers_html))))
    }
}

/// Whether `Accept` ranks HTML above JSON (RFC 9110, section 12.5.1). Programs often accept anything.
fn prefers_html(accept: &str) -> bool {
    let quality = |wanted: &str| {
        let ranges = accept.split(',').filter_map(|range| {
            let (range, parameters) = range.split_once(';').unwrap_or((range, ""));
            let quality = parameters
                .split(';')
                .find_map(|parameter| parameter.trim().strip_prefix("q="));
            let quality = quality.map_or(Some(1.0), |quality| quality.parse::<f32>().ok())?;
            range.trim().eq_ignore_ascii_case(wanted).then_some(quality)
        });
        ranges.fold(0.0, f32::max)
    };
    quality("text/html") > quality("application/json")
}

impl sealed::Argument for Shared {}

impl Argument for Shared {}

impl sealed::Argument for WantsHtml {}

impl Argument for WantsHtml {}
