//! Response headers in the `OpenAPI` document.

use outcome::ProblemType;
use utoipa::{
    PartialSchema,
    openapi::{Header, OpenApi, Ref, RefOr, Response, Schema},
};

/// The headers that several responses have, with their meaning.
const SHARED: [(&str, &str); 6] = [
    (
        "X-Request-Id",
        "The id of the request: the one that the client sent, or a generated one",
    ),
    (
        "RateLimit",
        "What remains of the caller's quota, and the seconds until it is restored; absent if the request was refused \
         before it was counted",
    ),
    (
        "RateLimit-Policy",
        "The quota of the caller and its window in seconds",
    ),
    ("Retry-After", "Seconds to wait before the request is sent again"),
    (
        "WWW-Authenticate",
        "Why the token was not accepted (RFC 6750, section 3)",
    ),
    (
        "Accept-Encoding",
        "The content codings that a request body may have",
    ),
];

/// Adds the headers of every response.
pub(crate) fn add_headers(response: &mut Response) {
    add(response, &["X-Request-Id", "RateLimit", "RateLimit-Policy"]);
}

/// Adds the headers of a response with one of these problems, which all have the same status.
pub(super) fn add_problem_headers(response: &mut Response, rows: &[&'static ProblemType]) {
    add_headers(response);
    if rows.iter().any(|row| row.retryable()) {
        add(response, &["Retry-After"]);
    }
    match rows.first().map(|row| row.status.as_u16()) {
        Some(401 | 403) => add(response, &["WWW-Authenticate"]),
        Some(415) => add(response, &["Accept-Encoding"]),
        _ => {}
    }
}

fn add(response: &mut Response, names: &[&str]) {
    for name in names {
        let reference = Ref::new(format!("#/components/headers/{name}"));
        response.headers.insert((*name).to_owned(), RefOr::Ref(reference));
    }
}

/// Defines the shared headers.
pub(super) fn define(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    for (name, meaning) in SHARED {
        let schema: RefOr<Schema> = match name {
            "Retry-After" => u64::schema(),
            _ => String::schema(),
        };
        let header = Header::builder()
            .schema(Some(schema))
            .description(Some(meaning))
            .build();
        components.headers.insert(name.to_owned(), RefOr::T(header));
    }
}
