//! Whatever a client sends in a header or a query, its request ends in a designed outcome.

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use reqwest::{
    Method,
    header::{HeaderName, HeaderValue},
};
use testkit::{
    declared_codes, document,
    notes::{NOTES, Notes, sample_note},
};
use tokio::{runtime::Handle, task::block_in_place};

use crate::TestApp;

const ECHO: &str = "/v1/test/echo";

/// The headers that the service reads.
const HEADERS: [&str; 12] = [
    "accept",
    "authorization",
    "content-encoding",
    "content-type",
    "forwarded",
    "idempotency-key",
    "if-none-match",
    "origin",
    "traceparent",
    "x-forwarded-for",
    "x-request-id",
    "x-request-timeout-ms",
];

/// Headers, the text of a query, and the operation.
type Case = (
    Vec<(&'static str, HeaderValue)>,
    Vec<char>,
    (Method, &'static str),
);

/// Bytes that a header can carry, and those that its parsers look for.
fn value() -> impl Strategy<Value = HeaderValue> {
    let meaningful = prop::sample::select(b"0123456789abcdef-_,;=\"* ./:W".to_vec());
    let any = (32_u8..).prop_filter("not a control character", |byte| *byte != 127);
    vec(prop_oneof![meaningful, any], 0..80)
        .prop_map(|bytes| HeaderValue::from_bytes(&bytes).expect("the bytes of a header"))
}

#[tokio::test(flavor = "multi_thread")]
async fn any_headers_and_query_end_in_a_designed_outcome() {
    let app = TestApp::build()
        .set("rate_limit.per_second", "1000000")
        .set("rate_limit.burst", "1000000")
        .set("rate_limit.anonymous_per_second", "1000000")
        .set("rate_limit.anonymous_burst", "1000000")
        .start()
        .await;
    let document = document::<Notes>();
    let without_operation = document["x-problems"].as_array().expect("a list").clone();
    let strategy = (
        vec((prop::sample::select(HEADERS.to_vec()), value()), 0..4),
        vec(any::<char>(), 0..20),
        prop::sample::select(vec![
            (Method::POST, NOTES),
            (Method::GET, NOTES),
            (Method::GET, ECHO),
        ]),
    );
    // The cases of the environment variable `PROPTEST_CASES`, otherwise fewer than for a function.
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() {
        Config::default().cases
    } else {
        128
    };
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = |(headers, query, (method, route)): Case| {
        let query: String = query.into_iter().collect();
        let mut request = app.request(method.clone(), route).query(&[("limit", query)]);
        if method == Method::POST {
            request = request.json(&sample_note());
        }
        let (client, request) = request.build_split();
        let mut request = request.expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        let (status, code) = block_in_place(|| {
            Handle::current().block_on(async {
                let response = client.execute(request).await.expect("a response");
                let status = response.status().as_u16();
                let body: serde_json::Value = response.json().await.unwrap_or_default();
                (status, body["code"].as_str().map(str::to_owned))
            })
        });
        let declared = declared_codes(&document, route, method.as_str(), status);
        let is_designed = match &code {
            None => status < 400,
            Some(code) => {
                status != 500
                    && (declared.contains(code) || without_operation.iter().any(|known| known == code))
            }
        };
        prop_assert!(is_designed, "{status} {code:?}; declared: {declared:?}");
        Ok(())
    };
    if let Err(error) = TestRunner::new(config).run(&strategy, outcome) {
        panic!("{error}");
    }
}
