//! Renders the catalogue as Markdown.

use std::fmt::Write;

use crate::{Catalogue, Origin, Retry};

/// Renders the catalogue as `docs/PROBLEMS.md`.
pub fn catalogue_as_markdown(catalogue: Catalogue) -> String {
    let mut page = String::from(
        "# Problems\n\nEvery way a request can fail. Generated from the catalogue by `make generate`; do not edit.\n\n| code | status | cause | retry |\n|---|---|---|---|\n",
    );
    // Writing to a String cannot fail.
    for row in catalogue.iter() {
        let _ = writeln!(
            page,
            "| [{code}](#{code}) | {status} | {origin} | {retry} |",
            code = row.code,
            status = row.status.as_u16(),
            origin = origin(row.origin),
            retry = retry(row.retry)
        );
    }
    for row in catalogue.iter() {
        let _ = write!(
            page,
            "\n## {code}\n\n**{status} {title}.** Cause: {origin}. Retry: {retry}.\n\n\
             - Client: {advice}\n- End user: “{user_message}”\n- Operator: {operator_hint}\n",
            code = row.code,
            status = row.status.as_u16(),
            title = row.title,
            origin = origin(row.origin),
            retry = retry(row.retry),
            advice = row.advice,
            user_message = row.user_message,
            operator_hint = row.operator_hint,
        );
    }
    page
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Client => "the request",
        Origin::Capacity => "capacity",
        Origin::Dependency => "a dependency",
        Origin::Service => "a bug in the service",
    }
}

fn retry(retry: Retry) -> &'static str {
    match retry {
        Retry::Never => "never",
        Retry::After => "after `Retry-After`",
        Retry::SameKey => "reads; writes with the same key",
    }
}
