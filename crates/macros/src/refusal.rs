//! `#[derive(Refusal)]`

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, Fields, Ident, LitStr, Result, Token, Type, Variant,
    parse::{Parse, ParseStream},
    spanned::Spanned,
};

/// The arguments of `#[problem(ROW, "detail")]`.
struct Row {
    problem_type: Expr,
    detail: LitStr,
}

impl Parse for Row {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let problem_type = input.parse()?;
        input.parse::<Token![,]>()?;
        let detail = input.parse()?;
        input.parse::<Option<Token![,]>>()?;
        Ok(Self { problem_type, detail })
    }
}

/// The kind of a variant.
enum Kind<'v> {
    /// A refusal with its own row, and the type of the value that it attaches to the problem.
    Own(Row, Option<&'v Type>),
    /// All refusals of something that the operation calls.
    Nested(&'v Type),
}

impl<'v> Kind<'v> {
    fn of(variant: &'v Variant) -> Result<Self> {
        let payload = match &variant.fields {
            Fields::Unit => None,
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => Some(&fields.unnamed[0].ty),
            _ => {
                return Err(Error::new_spanned(
                    variant,
                    "a refusal carries at most one value, which it attaches to the problem",
                ));
            }
        };
        let rows: Vec<&Attribute> = named(variant, "problem");
        let transparent: Vec<&Attribute> = named(variant, "refusal");
        match (&rows[..], &transparent[..], payload) {
            ([row], [], payload) => Ok(Self::Own(row.parse_args()?, payload)),
            ([], [attribute], Some(payload)) => {
                let word: Ident = attribute.parse_args()?;
                if word == "transparent" {
                    Ok(Self::Nested(payload))
                } else {
                    Err(Error::new_spanned(word, "expected `transparent`"))
                }
            }
            _ => Err(Error::new_spanned(
                &variant.ident,
                "a refusal needs one attribute: `#[problem(ROW, \"what happened\")]`, or `#[refusal(transparent)]` around \
                 the refusals of something that it calls",
            )),
        }
    }
}

fn named<'v>(variant: &'v Variant, name: &str) -> Vec<&'v Attribute> {
    let attributes = variant.attrs.iter();
    attributes
        .filter(|attribute| attribute.path().is_ident(name))
        .collect()
}

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(input, "`Refusal` is only for enums"));
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "a refusal cannot be generic"));
    }
    let (mut types, mut rows, mut problems, mut conversions) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut without_value = Vec::new();
    let name = &input.ident;
    for variant in &data.variants {
        let ident = &variant.ident;
        match Kind::of(variant)? {
            Kind::Own(Row { problem_type, detail }, payload) => {
                let row = quote_spanned!(problem_type.span()=> &#problem_type);
                types.push(quote!(types.push(#row);));
                rows.push(quote!(Self::#ident { .. } => #row,));
                if payload.is_none() {
                    without_value.push(ident);
                }
                problems.push(match payload {
                    None => quote!(Self::#ident => ::outcome::Problem::new(#row, #detail),),
                    Some(payload) => quote_spanned! {payload.span()=>
                        Self::#ident(payload) => {
                            ::outcome::Attach::attach(payload, ::outcome::Problem::new(#row, #detail))
                        }
                    },
                });
            }
            Kind::Nested(nested) => {
                types.push(quote_spanned! {nested.span()=>
                    types.extend(<#nested as ::outcome::Refusal>::problem_types());
                });
                rows.push(quote!(Self::#ident(ref refusal) => ::outcome::Refusal::problem_type(refusal),));
                problems.push(quote!(Self::#ident(refusal) => ::outcome::Refusal::into_problem(refusal),));
                conversions.push(quote! {
                    impl ::core::convert::From<#nested> for #name {
                        fn from(refusal: #nested) -> Self {
                            Self::#ident(refusal)
                        }
                    }
                });
            }
        }
    }
    let names: Vec<String> = without_value.iter().map(ToString::to_string).collect();
    Ok(quote! {
        impl ::outcome::Refusal for #name {
            fn problem_types() -> ::std::vec::Vec<&'static ::outcome::ProblemType> {
                let mut types = ::std::vec::Vec::new();
                #( #types )*
                types
            }

            fn problem_type(&self) -> &'static ::outcome::ProblemType {
                match *self { #( #rows )* }
            }

            fn into_problem(self) -> ::outcome::Problem {
                match self { #( #problems )* }
            }

            fn variant(&self) -> ::core::option::Option<&'static str> {
                match self {
                    #( Self::#without_value => ::core::option::Option::Some(#names), )*
                    #[allow(unreachable_patterns, reason = "no variant carries a value")]
                    _ => ::core::option::Option::None,
                }
            }

            fn from_variant(name: &str) -> ::core::option::Option<Self> {
                match name {
                    #( #names => ::core::option::Option::Some(Self::#without_value), )*
                    _ => ::core::option::Option::None,
                }
            }
        }

        #( #conversions )*
    })
}
