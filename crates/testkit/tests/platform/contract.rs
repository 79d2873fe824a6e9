//! The contract of the notes service, including what the layers in front of an operation add to it.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{
    Contract, assert_contract, assert_scopes, declared_codes, document,
    notes::{CATALOGUE, NOTES, Notes},
};

use crate::{TestApp, assert_problem};

const NOTE: &str = "/v1/test/notes/{id}";

fn contract() -> Value {
    document::<Notes>()
}

#[test]
fn every_problem_in_the_contract_is_in_the_catalogue_with_its_status() {
    let checked = assert_contract(&contract(), CATALOGUE);
    assert!(checked > 50, "{checked}");
}

#[test]
fn operations_declare_the_problems_of_the_layers_in_front_of_them() {
    let contract = contract();
    let codes = |path: &str, method: &str, status: u16| declared_codes(&contract, path, method, status);
    assert_eq!(
        codes(NOTES, "POST", 400),
        ["idempotency-key-missing", "invalid-request", "malformed-json"]
    );
    assert_eq!(codes(NOTES, "POST", 413), ["content-too-large"]);
    assert_eq!(codes(NOTE, "GET", 404), ["route-not-found"]);
    assert_eq!(codes(NOTE, "GET", 400), ["invalid-path", "invalid-request"]);
    assert_eq!(codes(NOTE, "GET", 413), [""; 0]);
    assert_eq!(codes(NOTES, "GET", 401), ["unauthenticated"]);
    assert!(codes("/problems", "GET", 401).is_empty());
    assert_eq!(contract["x-problems"].as_array().expect("a list").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_with_a_scope_requires_it() {
    let app = TestApp::start().await;
    let checked = assert_scopes(&app).await;
    assert!(checked > 3, "{checked}");
}

/// A client that has the current version gets 304 without a body; any other client gets the note and its version.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_the_current_version_gets_304() {
    let operation = &contract()["paths"][NOTE]["get"];
    assert!(
        operation["responses"]["304"]["headers"]["ETag"].is_object(),
        "{operation}"
    );
    assert!(operation["responses"]["200"]["headers"]["Age"].is_object());

    let app = TestApp::start().await;
    let path = app.create_note().await;
    let get = async |known: &str| {
        let request = app.request(Method::GET, &path).header("if-none-match", known);
        request.send().await.expect("a response")
    };
    let first = app.get(&path).await;
    let version = first.headers()["etag"].to_str().expect("text").to_owned();
    for known in [version.as_str(), &format!("\"other\", {version}"), "*"] {
        let same = get(known).await;
        assert_eq!(
            (same.status().as_u16(), &same.headers()["etag"]),
            (304, &first.headers()["etag"])
        );
        assert!(same.bytes().await.expect("complete").is_empty());
    }
    for unknown in ["\"other\"", "not a version", ""] {
        assert_eq!(get(unknown).await.status(), 200, "{unknown}");
    }
}

/// A success can have any media type, and a problem names the path parameter that is invalid.
#[tokio::test(flavor = "multi_thread")]
async fn streams_and_path_parameters_are_in_the_contract() {
    const NUMBERS: &str = "/v1/test/numbers/{from}/{to}";
    let operation = &contract()["paths"][NUMBERS]["get"];
    assert!(
        operation["responses"]["200"]["content"]["text/csv"].is_object(),
        "{operation}"
    );
    let names: Vec<&Value> = operation["parameters"]
        .as_array()
        .expect("a list")
        .iter()
        .collect();
    assert_eq!(
        (&names[0]["name"], &names[1]["name"]),
        (&"from".into(), &"to".into())
    );

    let app = TestApp::start().await;
    let numbers = app.get("/v1/test/numbers/2/4").await;
    assert_eq!(numbers.headers()["content-type"], "text/csv");
    assert_eq!(numbers.text().await.expect("complete"), "2\n3\n4\n");
    for (path, invalid) in [("two/4", "from"), ("2/four", "to"), ("2/%00", "to")] {
        let refused = app.get(&format!("/v1/test/numbers/{path}")).await;
        let problem = assert_problem(refused, NUMBERS, Method::GET, "invalid-path").await;
        assert_eq!(problem["errors"][0]["parameter"], invalid, "{path}");
    }
}

/// Whatever keeps an example from being sent is an error that says where to add what.
#[test]
fn a_contract_without_examples_says_what_is_missing() {
    let operation = |id: &str, more: Value| {
        let mut operation = json!({ "operationId": id, "tags": ["things"], "responses": { "200": {} } });
        let more = more.as_object().expect("an object").clone();
        operation.as_object_mut().expect("an object").extend(more);
        operation
    };
    let id = json!({ "name": "id", "in": "path", "required": true, "schema": {} });
    let body =
        |example: Value| json!({ "content": { "application/json": { "schema": {}, "example": example } } });
    let link = json!({ "x": { "operationId": "get_thing", "parameters": { "id": "$response.body#/id" } } });
    let created = json!({ "201": { "links": link } });
    let contract = |parameters: Value, example: Value, responses: &Value| {
        Contract::parse(&json!({ "paths": {
            "/things": { "post": operation("create_thing", json!({ "requestBody": body(example), "responses": responses })) },
            "/things/{id}": { "get": operation("get_thing", json!({ "parameters": parameters })) },
        } }))
    };
    let complete = contract(json!([id]), json!({}), &created).expect("complete");
    let get = complete.find("get_thing").expect("an operation");
    let path: Vec<&str> = complete
        .path_to(get)
        .iter()
        .map(|step| step.id.as_str())
        .collect();
    assert_eq!(path, ["create_thing", "get_thing"]);

    for (result, expected) in [
        (
            contract(json!([id]), Value::Null, &created),
            "POST /things: the request body has no example",
        ),
        (
            contract(json!([]), json!({}), &created),
            "create_thing links to get_thing.id, which does not exist",
        ),
        (
            contract(json!([id]), json!({}), &json!({ "201": {} })),
            "GET /things/{id}: the parameter `id` needs `example(id = …)`",
        ),
        (
            contract(json!([id]), json!({}), &json!({ "400": {} })),
            "POST /things: no response is a success",
        ),
    ] {
        let errors = result.expect_err(expected);
        assert!(errors.contains(expected), "{errors}");
    }
}
