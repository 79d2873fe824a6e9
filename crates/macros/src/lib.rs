//! The derive and attribute macros of this workspace. Each is documented with the trait that it implements, and
//! re-exported beside that trait.

mod choice;
mod docs;
mod operation;
mod refusal;
mod settings;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Implements `settings::Settings`, whose documentation lists the attributes.
#[proc_macro_derive(Settings, attributes(settings, setting))]
pub fn derive_settings(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    settings::derive(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Implements `settings::Setting` for an enum whose variants have no fields; see that trait.
#[proc_macro_derive(Choice, attributes(choice))]
pub fn derive_choice(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    choice::derive(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Implements `outcome::Refusal` for an enum: each variant is a refusal with its own row and detail, or includes all
/// refusals of something that the operation calls.
///
/// - `#[problem(ROW, "what happened")]`: the row of the catalogue, and a detail that reveals nothing internal. The
///   variant may carry one value that implements `outcome::Attach`, such as field errors.
/// - `#[refusal(transparent)]` on a variant with one value: all refusals of that type, and the `From` that lets `?`
///   convert them. There is no other conversion, so `?` cannot turn a known failure into an `internal` problem.
///
/// ```
/// use macros::Refusal;
/// use outcome::{FieldError, Refusal, common};
///
/// /// How reading the body can be refused.
/// #[derive(Debug, Refusal)]
/// enum BodyRefusal {
///     /// 400: the body is invalid.
///     #[problem(common::INVALID_REQUEST, "the body failed validation")]
///     Invalid(Vec<FieldError>),
/// }
///
/// /// How an operation can be refused.
/// #[derive(Debug, Refusal)]
/// enum BrewRefusal {
///     /// 503: too many brews at the same time.
///     #[problem(common::OVERLOADED, "all kettles are in use")]
///     Busy,
///     /// Everything in [`BodyRefusal`].
///     #[refusal(transparent)]
///     Body(BodyRefusal),
/// }
///
/// assert_eq!(BrewRefusal::problem_types().len(), 2);
/// assert_eq!(BrewRefusal::Busy.problem_type().code, "overloaded");
/// ```
///
/// A variant without a row does not compile:
///
/// ```compile_fail
/// #[derive(Debug, macros::Refusal)]
/// enum BrewRefusal {
///     Busy,
/// }
/// ```
#[proc_macro_derive(Refusal, attributes(problem, refusal))]
pub fn derive_refusal(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    refusal::derive(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Turns a handler into an operation; see `http_server::Operations`.
///
/// `#[operation(POST "/v1/invoices", scope = InvoicesWrite)]` requires a token with that scope. Instead of the scope,
/// `authenticated` accepts any valid token, and `public` needs none. `tag = "…"` groups the operation in the contract;
/// the default is the first segment of the path after the version.
#[proc_macro_attribute]
pub fn operation(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = parse_macro_input!(arguments as operation::Arguments);
    let function = parse_macro_input!(item as syn::ItemFn);
    operation::expand(&arguments, &function)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
