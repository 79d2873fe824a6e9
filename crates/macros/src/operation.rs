//! `#[operation]`

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Attribute, Error, Ident, ItemFn, LitStr, Path, Result, Token,
    ext::IdentExt,
    parenthesized,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    spanned::Spanned,
};

use crate::docs;

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Who may call an operation.
enum Access {
    Public,
    Authenticated,
    Scope(Path),
}

/// Where another operation finds a parameter in the response: `get_invoice.id = "/id"`.
struct Link {
    operation: Ident,
    parameter: Ident,
    pointer: LitStr,
}

impl Parse for Link {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let operation = input.call(Ident::parse_any)?;
        input.parse::<Token![.]>()?;
        let parameter = input.call(Ident::parse_any)?;
        input.parse::<Token![=]>()?;
        let pointer: LitStr = input.parse()?;
        if !pointer.value().starts_with('/') {
            return Err(Error::new_spanned(pointer, "a JSON pointer starts with `/`"));
        }
        Ok(Self {
            operation,
            parameter,
            pointer,
        })
    }
}

/// An example of a path parameter: `code = "SPRING"`.
struct Example {
    parameter: Ident,
    value: LitStr,
}

impl Parse for Example {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let parameter = input.call(Ident::parse_any)?;
        input.parse::<Token![=]>()?;
        let value = input.parse()?;
        Ok(Self { parameter, value })
    }
}

/// Reads `(…, …)`.
fn list<T: Parse>(input: ParseStream<'_>) -> Result<Vec<T>> {
    let items;
    parenthesized!(items in input);
    Ok(Punctuated::<T, Token![,]>::parse_terminated(&items)?
        .into_iter()
        .collect())
}

/// The arguments of the attribute: `POST "/v1/invoices", scope = InvoicesWrite, links(get_invoice.id = "/id")`.
pub(crate) struct Arguments {
    method: Ident,
    path: LitStr,
    access: Access,
    tag: String,
    links: Vec<Link>,
    examples: Vec<Example>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let method: Ident = input.parse()?;
        if !METHODS.contains(&method.to_string().as_str()) {
            let message = format!("expected one of: {}", METHODS.join(", "));
            return Err(Error::new_spanned(method, message));
        }
        let path: LitStr = input.parse()?;
        check_path(&path)?;
        let (mut access, mut tag, mut links, mut examples) = (None, None, None, None);
        while input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            let key: Ident = input.parse()?;
            let is_new = match key.to_string().as_str() {
                "public" => access.replace(Access::Public).is_none(),
                "authenticated" => access.replace(Access::Authenticated).is_none(),
                "scope" => {
                    input.parse::<Token![=]>()?;
                    access.replace(Access::Scope(input.parse()?)).is_none()
                }
                "tag" => {
                    input.parse::<Token![=]>()?;
                    tag.replace(input.parse::<LitStr>()?.value()).is_none()
                }
                "links" => links.replace(list(input)?).is_none(),
                "example" => examples.replace(list(input)?).is_none(),
                _ => {
                    let expected = "expected `scope`, `authenticated`, `public`, `tag`, `links` or `example`";
                    return Err(Error::new_spanned(key, expected));
                }
            };
            if !is_new {
                let message = "an operation has exactly one of `scope`, `authenticated` and `public`, and each other argument \
                               at most once";
                return Err(Error::new_spanned(key, message));
            }
        }
        let Some(access) = access else {
            let message =
                "an operation needs `scope = TheScope`, `authenticated` (any valid token) or `public`";
            return Err(Error::new_spanned(path, message));
        };
        let examples: Vec<Example> = examples.unwrap_or_default();
        for Example { parameter, .. } in &examples {
            if !path.value().contains(&format!("{{{}}}", parameter.unraw())) {
                let message = format!("the path has no parameter `{{{parameter}}}`");
                return Err(Error::new_spanned(parameter, message));
            }
        }
        Ok(Self {
            tag: tag.unwrap_or_else(|| tag_of(&path.value())),
            method,
            path,
            access,
            links: links.unwrap_or_default(),
            examples,
        })
    }
}

/// Checks that a path starts with `/` and that each parameter is a whole segment in braces, without a pattern.
fn check_path(path: &LitStr) -> Result<()> {
    let value = path.value();
    if !value.starts_with('/') {
        return Err(Error::new_spanned(path, "a path starts with `/`"));
    }
    let is_parameter = |segment: &str| {
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        name.is_some_and(|name| syn::parse_str::<Ident>(name).is_ok())
    };
    let invalid = value
        .split('/')
        .find(|segment| segment.contains(['{', '}']) && !is_parameter(segment));
    match invalid {
        None => Ok(()),
        Some(segment) => {
            let message = format!(
                "`{segment}`: a path parameter is a whole segment such as `{{id}}`; its type validates it"
            );
            Err(Error::new_spanned(path, message))
        }
    }
}

/// The default tag: `invoices` for `/v1/invoices/{id}`, `service` for a path without a version.
fn tag_of(path: &str) -> String {
    let mut segments = path.split('/').skip(1);
    let version = segments.next().unwrap_or_default();
    let is_version = version
        .strip_prefix('v')
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    let first = segments.next().filter(|_| is_version);
    first.unwrap_or("service").to_owned()
}

pub(crate) fn expand(arguments: &Arguments, function: &ItemFn) -> Result<TokenStream> {
    let Arguments {
        method,
        path,
        access,
        tag,
        links,
        examples,
    } = arguments;
    if function.sig.asyncness.is_none() {
        return Err(Error::new_spanned(
            function.sig.fn_token,
            "an operation must be an `async fn`",
        ));
    }
    if !function.sig.generics.params.is_empty() {
        let message = "an operation cannot be generic";
        return Err(Error::new_spanned(&function.sig.generics, message));
    }
    let (name, visibility) = (&function.sig.ident, &function.vis);
    let (method, id) = (method.to_string(), name.unraw().to_string());
    let (summary, description) = docs::summary_and_rest(&function.attrs);
    if summary.is_empty() {
        let message = "an operation needs a doc comment, which becomes its summary in the contract";
        return Err(Error::new_spanned(name, message));
    }
    let access = match access {
        Access::Public => quote!(::http_server::Access::Public),
        Access::Authenticated => quote!(::http_server::Access::Authenticated),
        Access::Scope(scope) => quote_spanned!(scope.span()=> ::http_server::Access::scope::<#scope>()),
    };
    let links = links.iter().map(|link| {
        let (operation, parameter) = (
            link.operation.unraw().to_string(),
            link.parameter.unraw().to_string(),
        );
        let pointer = &link.pointer;
        quote!(::http_server::Link { operation: #operation, parameter: #parameter, pointer: #pointer })
    });
    let examples = examples.iter().map(|Example { parameter, value }| {
        let parameter = parameter.unraw().to_string();
        quote!((#parameter, #value))
    });
    let endpoint = quote! {
        const {
            ::http_server::Endpoint {
                method: #method,
                path: #path,
                access: #access,
                id: #id,
                tag: #tag,
                summary: #summary,
                description: #description,
                links: &[#( #links ),*],
                examples: &[#( #examples ),*],
            }
        }
    };
    // Hygiene separates this variable from a handler of the same name.
    let operations = Ident::new("operations", Span::mixed_site());
    // With the span of the return type, so that errors in it or in the arguments are reported there.
    let register = quote_spanned!(function.sig.output.span()=> #operations.add(#endpoint, #name));
    let conditions: Vec<&Attribute> = function
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"))
        .collect();
    Ok(quote! {
        #function

        #( #conditions )*
        #[doc = ::core::concat!("The operation [`", #id, "`](fn@", #id, ").")]
        #[allow(non_camel_case_types, reason = "named like its handler, to be registered by that name")]
        #visibility enum #name {}

        #( #conditions )*
        impl ::http_server::Operation for #name {
            fn register(#operations: &mut ::http_server::Operations) {
                #register;
            }
        }
    })
}
