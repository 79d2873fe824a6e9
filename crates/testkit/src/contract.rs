//! Assertions on `OpenAPI` contracts and problem catalogues.

use outcome::Catalogue;
use reqwest::Method;
use serde_json::Value;

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
    let contract = U::service().definition().contract().document();
    let contract = serde_json::to_value(contract).expect("the contract serializes");
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

/// The problem codes that the contract declares for an operation and a status.
pub fn declared_codes(contract: &Value, template: &str, method: &str, status: u16) -> Vec<String> {
    let method = method.to_lowercase();
    let examples = &contract["paths"][template][method]["responses"][status.to_string()]["content"]["application/problem+json"]
        ["examples"];
    examples
        .as_object()
        .map(|examples| examples.keys().cloned().collect())
        .unwrap_or_default()
}
