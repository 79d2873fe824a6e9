//! Adapts handlers that return an outcome to the framework.

use std::{fmt, marker::PhantomData};

use actix_web::{Handler, HttpRequest, HttpResponse, Responder, body::BoxBody};
use futures_util::future::{FutureExt, Map};
use outcome::Refusal;

use super::Success;
use crate::refuse;

/// A handler whose result is a success or a refusal.
pub(super) struct Adapter<F, S, R> {
    handler: F,
    outcome: PhantomData<fn() -> (S, R)>,
}

impl<F, S, R> Adapter<F, S, R> {
    pub(super) fn new(handler: F) -> Self {
        Self {
            handler,
            outcome: PhantomData,
        }
    }
}

impl<F: Clone, S, R> Clone for Adapter<F, S, R> {
    fn clone(&self) -> Self {
        Self::new(self.handler.clone())
    }
}

impl<F, Args, S, R> Handler<Args> for Adapter<F, S, R>
where
    F: Handler<Args, Output = Result<S, R>>,
    S: Success,
    R: Refusal + 'static,
{
    type Output = Outcome<S, R>;
    type Future = Map<F::Future, fn(Result<S, R>) -> Outcome<S, R>>;

    fn call(&self, arguments: Args) -> Self::Future {
        self.handler.call(arguments).map(Outcome)
    }
}

/// The outcome of an operation: a success or a refusal.
pub(super) struct Outcome<S, R>(Result<S, R>);

impl<S, R> fmt::Debug for Outcome<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome").finish_non_exhaustive()
    }
}

impl<S: Success, R: Refusal> Responder for Outcome<S, R> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        match self.0 {
            Ok(success) => success.respond(),
            Err(refusal) => HttpResponse::from_error(refuse(refusal)),
        }
    }
}
