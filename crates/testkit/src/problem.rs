//! Assertions on problem responses.

use outcome::Catalogue;
use reqwest::{Method, Response, header::HeaderMap};
use serde_json::Value;

use crate::{UnderTest, assert_headers, declared_codes, document};

/// Words that would reveal internals of the service.
const FORBIDDEN: [&str; 12] = [
    "sqlx",
    "postgres",
    "redis",
    "actix",
    "serde",
    "tokio",
    "SELECT",
    "INSERT",
    "panicked at",
    ".rs:",
    "/src/",
    "test_",
];

/// Asserts that the response is the problem `code` in every respect, and that the contract declares it, either for the
/// operation at `template` or for requests without an operation; returns the body.
///
/// # Panics
/// When one of these does not hold.
pub async fn assert_problem<U: UnderTest>(
    response: Response,
    template: &str,
    method: Method,
    code: &str,
) -> Value {
    let definition = U::service().definition();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.text().await.expect("the response is complete");
    let body = assert_problem_parts(definition.catalogue, (status, &headers, &body), code);

    let document = document::<U>();
    let without_operation = document["x-problems"].as_array().expect("x-problems is a list");
    let declared = declared_codes(&document, template, method.as_str(), status);
    assert!(
        without_operation.iter().any(|known| known == code) || declared.iter().any(|known| known == code),
        "{method} {template} does not declare {code}; it declares {declared:?}"
    );
    if !declared.is_empty() {
        let operation = &document["paths"][template][method.as_str().to_lowercase()];
        assert_headers(&document, &operation["responses"][status.to_string()], &headers);
    }
    body
}

/// Asserts the same as [`assert_problem`], except for the contract, on a response that was read from a socket.
///
/// # Panics
/// When something does not hold.
pub fn assert_problem_parts(
    catalogue: Catalogue,
    (status, headers, body): (u16, &HeaderMap, &str),
    code: &str,
) -> Value {
    let text = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().expect("ASCII").to_owned())
    };
    let problem: Value =
        serde_json::from_str(body).unwrap_or_else(|_| panic!("{status} without JSON: {body}"));
    assert_eq!(problem["code"], code, "{body}");
    let row = catalogue.find(code).expect("the code is in the catalogue");
    assert_eq!(status, row.status.as_u16(), "{body}");
    assert_eq!(problem["status"], status, "{body}");
    assert_eq!(text("content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(text("cache-control").as_deref(), Some("no-store"));
    assert_eq!(problem["type"], format!("/problems/{code}"));
    assert_eq!(problem["title"], row.title);
    assert_eq!(
        problem["request_id"].as_str().map(str::to_owned),
        text("x-request-id"),
        "{headers:?}"
    );
    let trace_id = problem["trace_id"].as_str().expect("a trace id");
    assert!(trace_id.len() == 32 && trace_id != "0".repeat(32), "{trace_id}");
    assert_eq!(problem["retryable"], row.retryable());
    assert_eq!(problem["origin"], serde_json::json!(row.origin));
    assert_eq!(problem["advice"], row.advice);
    assert_eq!(problem["user_message"], row.user_message);
    let retry_after: Option<u64> = text("retry-after").map(|seconds| seconds.parse().expect("seconds"));
    assert_eq!(
        retry_after.is_some(),
        row.retryable(),
        "Retry-After is set exactly when the problem is retryable"
    );
    assert!(retry_after.is_none_or(|seconds| (1..=60).contains(&seconds)));
    for word in FORBIDDEN {
        assert!(!body.contains(word), "`{word}` in {body}");
    }
    problem
}
