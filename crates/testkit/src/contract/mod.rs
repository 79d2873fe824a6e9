//! The contract of a service: assertions on it and on its catalogue, its examples, and the flows through it.

mod flows;
mod operations;

pub use flows::{Criticality, Flow, assert_flows, flows};
pub use operations::{Contract, Known, Operation};

use outcome::Catalogue;
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName},
};
use serde_json::Value;

use self::operations::{codes, resolved};
use crate::{TestApp, UnderTest, assert_problem};

/// Asserts that every problem in a contract is in the catalogue with the same status; returns the number of problems.
///
/// # Panics
/// When one is missing or has another status.
pub fn assert_contract(contract: &Value, catalogue: Catalogue) -> usize {
    let mut checked = 0;
    for (path, item) in contract["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            for (status, response) in operation["responses"].as_object().expect("responses") {
                let response = resolved(contract, response);
                let Some(content) = response["content"].get("application/problem+json") else {
                    continue;
                };
                let codes = &content["schema"]["allOf"][1]["properties"]["code"]["enum"];
                let codes: Vec<&str> = codes
                    .as_array()
                    .expect("an enum")
                    .iter()
                    .filter_map(Value::as_str)
                    .collect();
                let examples: Vec<&String> = content["examples"]
                    .as_object()
                    .expect("examples")
                    .keys()
                    .collect();
                assert_eq!(codes, examples, "{method} {path} {status}");
                for code in codes {
                    let row = catalogue.find(code).expect("in the catalogue");
                    assert_eq!(row.status.as_u16().to_string(), *status, "{code}");
                    checked += 1;
                }
            }
        }
    }
    checked
}

/// Asserts that codes are unique and well-formed, and that every row has all of its texts.
///
/// # Panics
/// When one of these does not hold.
pub fn assert_catalogue(catalogue: Catalogue) {
    let mut codes: Vec<&str> = catalogue.iter().map(|row| row.code).collect();
    codes.sort_unstable();
    let all = codes.len();
    codes.dedup();
    assert_eq!(codes.len(), all);
    for row in catalogue.iter() {
        let texts = [row.title, row.advice, row.user_message, row.operator_hint];
        assert!(texts.iter().all(|text| text.len() > 10), "{}", row.code);
        assert!(
            row.code
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
            "{}",
            row.code
        );
    }
}

/// Asserts that every operation with a scope responds with 401 to a request without a token, and with 403 and the name
/// of the scope to a token without that scope; returns the number of operations.
///
/// # Panics
/// When an operation responds otherwise.
pub async fn assert_scopes<U: UnderTest>(app: &TestApp<U>) -> usize {
    let contract = document::<U>();
    let mut checked = 0;
    for (template, item) in contract["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let Some(scopes) = operation["security"][0]["bearer"].as_array() else {
                continue;
            };
            let method: Method = method.to_uppercase().parse().expect("a method");
            let path = template.replace(['{', '}'], "");
            let anonymous = app
                .anonymous(method.clone(), &path)
                .send()
                .await
                .expect("a response");
            assert_problem::<U>(anonymous, template, method.clone(), "unauthenticated").await;
            for scope in scopes {
                let token = app.token("alice", "nothing:else");
                let request = app.anonymous(method.clone(), &path).bearer_auth(token);
                let refused = request.send().await.expect("a response");
                let challenge = refused.headers()["www-authenticate"]
                    .to_str()
                    .expect("ASCII")
                    .to_owned();
                assert_problem::<U>(refused, template, method.clone(), "forbidden").await;
                let expected = format!("error=\"insufficient_scope\", scope={scope}");
                assert!(challenge.contains(&expected), "`{challenge}` lacks `{expected}`");
            }
            checked += 1;
        }
    }
    checked
}

/// Sends the example of every operation, after the operations that return its ids, and asserts that each gets its
/// success, with exactly the headers that its response declares; returns the number of operations.
///
/// # Panics
/// When an operation has no complete example, or does not get its success.
pub async fn assert_examples<U: UnderTest>(app: &TestApp<U>) -> usize {
    let document = document::<U>();
    let contract = Contract::parse(&document).unwrap_or_else(|errors| panic!("{errors}"));
    for operation in contract.operations() {
        let mut known = Known::default();
        for step in contract.path_to(operation) {
            let Some(request) = step.request(&app.client, &app.url, &known) else {
                // `GET /v1/jobs/{id}` of a service that returns no job.
                assert!(step.of_platform, "{}: no earlier response has its ids", step.name);
                break;
            };
            let response = request
                .bearer_auth(app.token("examples", &app.scopes))
                .send()
                .await;
            let response = response.expect("a response");
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = response.text().await.expect("a complete body");
            assert!(step.successes.contains(&status), "{}: {status} {body}", step.name);
            let declared = &document["paths"][&step.template][step.method.as_str().to_lowercase()];
            let declared = &declared["responses"][status.to_string()];
            assert_headers(&document, declared, &headers);
            for name in declared["headers"]
                .as_object()
                .into_iter()
                .flat_map(|all| all.keys())
            {
                assert!(
                    CONDITIONAL.contains(&name.as_str()) || headers.contains_key(name),
                    "{}: no {name}",
                    step.name
                );
            }
            step.learn(&serde_json::from_str(&body).unwrap_or_default(), &mut known);
        }
    }
    contract.operations().len()
}

/// Declared headers that depend on the state.
const CONDITIONAL: [&str; 2] = ["Age", "Idempotency-Replayed"];

/// Headers that any response can have, whatever it says.
const OF_HTTP: [&str; 11] = [
    "access-control-allow-origin",
    "access-control-expose-headers",
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "transfer-encoding",
    "vary",
    "x-content-type-options",
];

/// Asserts that the response declares each of these headers.
///
/// # Panics
/// When it does not.
pub(crate) fn assert_headers(document: &Value, response: &Value, headers: &HeaderMap) {
    let declared = resolved(document, response)["headers"].as_object();
    for name in headers.keys().map(HeaderName::as_str) {
        let is_declared = |declared: &String| declared.eq_ignore_ascii_case(name);
        assert!(
            OF_HTTP.contains(&name) || declared.is_some_and(|declared| declared.keys().any(is_declared)),
            "the contract does not declare the header {name} of {response}"
        );
    }
}

/// The `OpenAPI` document of the service under test.
///
/// # Panics
/// When it does not serialize.
pub fn document<U: UnderTest>() -> Value {
    let document = U::service().definition().contract().document("test");
    serde_json::to_value(document).expect("the document serializes")
}

/// The problem codes that the contract declares for an operation and a status.
pub fn declared_codes(contract: &Value, template: &str, method: &str, status: u16) -> Vec<String> {
    let method = method.to_lowercase();
    let response = &contract["paths"][template][method]["responses"][status.to_string()];
    codes(resolved(contract, response))
}
