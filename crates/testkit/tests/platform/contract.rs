//! The contract of the notes: what the layers in front of an operation add to it.

use serde_json::Value;
use testkit::{
    assert_contract,
    notes::{CATALOGUE, NOTES, SERVICE},
};

const NOTE: &str = "/v1/test/notes/{id}";

fn contract() -> Value {
    serde_json::to_value(SERVICE.definition().contract().document()).expect("it serializes")
}

#[test]
fn every_error_of_the_contract_is_in_the_catalogue_under_its_status() {
    let checked = assert_contract(&contract(), CATALOGUE);
    assert!(checked > 50, "{checked}");
}

#[test]
fn operations_declare_the_layers_in_front_of_them() {
    let contract = contract();
    let codes = |path: &str, method: &str, status: u16| {
        http_server::openapi::declared_codes(&contract, path, method, status)
    };
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
