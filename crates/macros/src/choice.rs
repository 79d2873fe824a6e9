//! `#[derive(Choice)]`

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, LitStr, Result};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(input, "`Choice` is only for enums"));
    };
    let mut variants = Vec::new();
    let mut names = Vec::new();
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(variant, "a choice cannot have fields"));
        }
        let renamed = variant
            .attrs
            .iter()
            .find(|attribute| attribute.path().is_ident("choice"));
        names.push(match renamed {
            Some(attribute) => attribute.parse_args::<LitStr>()?.value(),
            None => variant.ident.to_string().to_lowercase(),
        });
        variants.push(&variant.ident);
    }
    let (name, expected) = (&input.ident, format!("expected one of: {}", names.join(", ")));
    Ok(quote! {
        impl #name {
            /// The value as it is written in the configuration.
            pub fn as_str(self) -> &'static str {
                match self { #( Self::#variants => #names, )* }
            }
        }

        impl ::settings::Setting for #name {
            fn parse(text: &str) -> ::core::result::Result<Self, ::std::string::String> {
                match text {
                    #( #names => Ok(Self::#variants), )*
                    _ => Err(::std::string::String::from(#expected)),
                }
            }

            fn text(&self) -> ::std::string::String {
                ::std::string::String::from(self.as_str())
            }

            fn schema() -> ::settings::Schema {
                ::settings::Schema::words(&[#( #names ),*])
            }
        }
    })
}
