//! `#[derive(Choice)]`

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, LitStr, Result};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(input, "`Choice` is derived for enums"));
    };
    let mut variants = Vec::new();
    let mut words = Vec::new();
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(variant, "a choice has no fields"));
        }
        let named = variant
            .attrs
            .iter()
            .find(|attribute| attribute.path().is_ident("choice"));
        words.push(match named {
            Some(attribute) => attribute.parse_args::<LitStr>()?.value(),
            None => variant.ident.to_string().to_lowercase(),
        });
        variants.push(&variant.ident);
    }
    let (name, expected) = (&input.ident, format!("expected one of: {}", words.join(", ")));
    Ok(quote! {
        impl #name {
            /// The word as it is written in the configuration.
            pub fn as_str(self) -> &'static str {
                match self { #( Self::#variants => #words, )* }
            }
        }

        impl ::settings::Setting for #name {
            fn parse(text: &str) -> ::core::result::Result<Self, ::std::string::String> {
                match text {
                    #( #words => Ok(Self::#variants), )*
                    _ => Err(::std::string::String::from(#expected)),
                }
            }

            fn text(&self) -> ::std::string::String {
                ::std::string::String::from(self.as_str())
            }

            fn schema() -> ::settings::Schema {
                ::settings::Schema::words(&[#( #words ),*])
            }
        }
    })
}
