//! The derives and the attribute of this workspace. Each is documented with the trait that it implements, and re-exported beside it.

mod choice;
mod docs;
mod operation;
mod refusal;
mod settings;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Implements `settings::Settings`: see there.
#[proc_macro_derive(Settings, attributes(settings, setting))]
pub fn derive_settings(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    settings::derive(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Implements `settings::Setting` for an enum of words: see there.
#[proc_macro_derive(Choice, attributes(choice))]
pub fn derive_choice(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    choice::derive(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Implements `outcome::Refusal` for an enum: each variant is a refusal with its row and its words, or takes in all
/// refusals of something that is called.
///
/// - `#[problem(ROW, "what happened")]`: the row of the catalogue, and a sentence that leaks nothing internal. The
///   variant may carry one value that `outcome::Attach`es to the problem, such as the errors of fields.
/// - `#[refusal(transparent)]` on a variant with one value: every refusal of that type, and the `From` that lets `?`
///   carry it over. There is no other conversion, so a `?` cannot turn a known failure into an `internal`.
///
/// ```
/// use macros::Refusal;
/// use outcome::{FieldError, Refusal, common};
///
/// /// How reading the body can be refused.
/// #[derive(Debug, Refusal)]
/// enum BodyRefusal {
///     /// 400: it is invalid.
///     #[problem(common::INVALID_REQUEST, "the body breaks rules")]
///     Invalid(Vec<FieldError>),
/// }
///
/// /// How an operation can be refused.
/// #[derive(Debug, Refusal)]
/// enum BrewRefusal {
///     /// 503: too many brew at the same time.
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

/// Makes an operation of a handler: see `http_server::Operations`.
///
/// `#[operation(POST "/v1/invoices", scope = InvoicesWrite)]`; in place of the scope `authenticated` takes any valid token,
/// and `public` needs none. `tag = "…"` groups it in the contract; without it the tag is the first segment of the path
/// after the version.
#[proc_macro_attribute]
pub fn operation(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = parse_macro_input!(arguments as operation::Arguments);
    let function = parse_macro_input!(item as syn::ItemFn);
    operation::expand(&arguments, &function)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
