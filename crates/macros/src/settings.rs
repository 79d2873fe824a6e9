//! `#[derive(Settings)]`

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, Field, Fields, Ident, Result, Type, ext::IdentExt,
    meta::ParseNestedMeta, spanned::Spanned,
};

use crate::docs;

/// The arguments of `#[setting(…)]` on a field.
#[derive(Default)]
struct Attributes {
    section: bool,
    flatten: bool,
    default: Option<Expr>,
    in_development: Option<Expr>,
    min: Option<Expr>,
    above: Option<Expr>,
    max: Option<Expr>,
}

impl Attributes {
    fn of(field: &Field) -> Result<Self> {
        let mut attributes = Self::default();
        for attribute in named(&field.attrs, "setting") {
            attribute.parse_nested_meta(|meta| attributes.add(&meta))?;
        }
        let is_key = !attributes.section && !attributes.flatten;
        let has_value = attributes.default.is_some()
            || attributes.in_development.is_some()
            || attributes.min.is_some()
            || attributes.above.is_some()
            || attributes.max.is_some();
        if !is_key && has_value || attributes.section && attributes.flatten {
            return Err(Error::new_spanned(
                field,
                "`section` and `flatten` cannot be combined with another argument",
            ));
        }
        Ok(attributes)
    }

    fn add(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let value = || meta.value()?.parse::<Expr>().map(Some);
        match meta.path.get_ident().map(Ident::to_string).as_deref() {
            Some("section") => self.section = true,
            Some("flatten") => self.flatten = true,
            Some("default") => self.default = value()?,
            Some("in_development") => self.in_development = value()?,
            Some("min") => self.min = value()?,
            Some("above") => self.above = value()?,
            Some("max") => self.max = value()?,
            _ => {
                return Err(meta.error(
                    "expected `default`, `in_development`, `min`, `above`, `max`, `section` or `flatten`",
                ));
            }
        }
        Ok(())
    }
}

fn named<'a>(attributes: &'a [Attribute], name: &'a str) -> impl Iterator<Item = &'a Attribute> {
    attributes
        .iter()
        .filter(move |attribute| attribute.path().is_ident(name))
}

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let fields = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => &fields.named,
            _ => return Err(Error::new_spanned(input, "settings must have named fields")),
        },
        _ => return Err(Error::new_spanned(input, "`Settings` is only for structs")),
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "settings cannot be generic"));
    }
    let mut check = None;
    for attribute in named(&input.attrs, "settings") {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("check") {
                return Err(meta.error("expected `check`"));
            }
            check = Some(meta.value()?.parse::<Expr>()?);
            Ok(())
        })?;
    }
    let (mut reads, mut documents, mut checks) = (Vec::new(), Vec::new(), Vec::new());
    for field in fields {
        let attributes = Attributes::of(field)?;
        let (name, kind) = (field.ident.as_ref().expect("a named field"), &field.ty);
        let key = name.unraw().to_string();
        if attributes.flatten {
            reads.push(quote!(#name: <#kind as ::settings::Settings>::read(reader)));
            documents.push(quote!(<#kind as ::settings::Settings>::document(keys);));
            checks.push(quote!(::settings::Settings::check(&self.#name, errors);));
        } else if attributes.section {
            reads.push(quote!(#name: reader.section(#key, <#kind as ::settings::Settings>::read)));
            documents.push(quote!(keys.section(#key, <#kind as ::settings::Settings>::document);));
            checks.push(quote! {
                errors.section(#key, |errors| ::settings::Settings::check(&self.#name, errors));
            });
        } else {
            let field = key_of(field, &key, kind, &attributes)?;
            reads.push(quote!(#name: reader.key(&#field)));
            documents.push(quote!(keys.key(&#field);));
        }
    }
    let (name, own) = (&input.ident, check.map(|check| quote!((#check)(self, errors);)));
    Ok(quote! {
        impl ::settings::Settings for #name {
            fn read(reader: &mut ::settings::Reader) -> Self {
                Self { #( #reads ),* }
            }

            fn document(keys: &mut ::settings::Keys) {
                #( #documents )*
            }

            #[allow(unused_variables, reason = "settings without rules")]
            fn check(&self, errors: &mut ::settings::Errors) {
                #( #checks )*
                #own
            }
        }
    })
}

/// The expression that makes the `settings::Key` of a field.
fn key_of(field: &Field, key: &str, kind: &Type, attributes: &Attributes) -> Result<TokenStream> {
    let doc = docs::text(&field.attrs);
    if doc.is_empty() {
        return Err(Error::new_spanned(
            field,
            "a key needs a doc comment, which becomes its documentation",
        ));
    }
    // With the span of the default, so that a default of the wrong type is reported there.
    let default = if let Some(default) = &attributes.default {
        quote_spanned!(default.span()=> { let default: #kind = #default; default })
    } else {
        quote!(::core::default::Default::default())
    };
    let methods = [
        ("in_development", &attributes.in_development),
        ("min", &attributes.min),
        ("above", &attributes.above),
        ("max", &attributes.max),
    ];
    let methods = methods.into_iter().filter_map(|(method, value)| {
        let (method, value) = (Ident::new(method, kind.span()), value.as_ref()?);
        Some(quote!(.#method(#value)))
    });
    Ok(quote!(::settings::Key::<#kind>::new(#key, #doc, #default)#( #methods )*))
}
