//! Doc comments as text.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The doc comment among these attributes, on one line.
pub(crate) fn text(attributes: &[Attribute]) -> String {
    lines(attributes).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// The first paragraph of the doc comment on one line, and the rest with its line breaks.
pub(crate) fn summary_and_rest(attributes: &[Attribute]) -> (String, String) {
    let lines: Vec<String> = lines(attributes).collect();
    let mut paragraphs = lines.splitn(2, std::string::String::is_empty);
    let summary = paragraphs.next().unwrap_or_default().join(" ");
    let rest = paragraphs.next().unwrap_or_default().join("\n");
    (summary, rest.trim().to_owned())
}

fn lines(attributes: &[Attribute]) -> impl Iterator<Item = String> {
    attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(line), ..
            }) => Some(line.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    })
}
