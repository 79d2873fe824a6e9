//! The arguments of handlers.

use actix_web::FromRequest;

use super::Description;

/// An argument of a handler. Input that it refuses ends in a problem, never in a response of the framework.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an argument of an operation",
    label = "not an argument of an operation",
    note = "take input through `http_server::extract`: `Path`, `Query`, `Body`, `IdempotencyKey`, `IfNoneMatch`, \
            `Caller`, `Context` or `State`",
    note = "the framework's own extractors refuse bad input without a problem"
)]
pub trait Argument: FromRequest + sealed::Argument + 'static {
    /// Adds the argument to the OpenAPI document.
    #[doc(hidden)]
    fn describe(_description: &mut Description) {}
}

/// All arguments of a handler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are not arguments of an operation",
    note = "each must implement `http_server::Argument`, and a handler takes at most eight"
)]
pub trait Arguments: FromRequest + sealed::Arguments + 'static {
    /// Adds the arguments to the OpenAPI document.
    #[doc(hidden)]
    fn describe(description: &mut Description);
}

pub(crate) mod sealed {
    pub trait Argument {}
    pub trait Arguments {}
}

macro_rules! arguments {
    ($($argument:ident)*) => {
        impl<$($argument: Argument),*> sealed::Arguments for ($($argument,)*) {}

        impl<$($argument: Argument),*> Arguments for ($($argument,)*) {
            fn describe(description: &mut Description) {
                let _ = &description; // unused without arguments
                $( $argument::describe(description); )*
            }
        }
    };
}

arguments! {}
arguments! { A }
arguments! { A B }
arguments! { A B C }
arguments! { A B C D }
arguments! { A B C D E }
arguments! { A B C D E F }
arguments! { A B C D E F G }
arguments! { A B C D E F G H }
