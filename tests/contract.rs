//! The contract of the service, checked against its catalogue.

use std::path::Path;

use api::problems::CATALOGUE;
use testkit::{Contract, assert_contract, assert_examples, assert_flows, assert_scopes, document, flows};

use crate::{Api, TestApp};

#[test]
fn every_error_of_the_contract_is_in_the_catalogue_under_its_status() {
    let checked = assert_contract(&document::<Api>(), CATALOGUE);
    assert!(checked > 10, "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_with_a_scope_requires_it() {
    let app = TestApp::start().await;
    let checked = assert_scopes(&app).await;
    assert!(checked > 0, "{checked}");
}

/// What a reader of the contract tries first works, and with it everything that is built from the examples.
#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_every_operation_gets_its_success() {
    let app = TestApp::build();
    // sample: begin
    let free = ([127, 0, 0, 1], 0).into();
    let supplier = ::supplier::start(free, free).expect("free ports");
    let app = app.set("supplier.url", &format!("http://{}", supplier.address));
    // sample: end
    let checked = assert_examples(&app.start().await).await;
    assert!(checked > 3, "{checked}");
}

#[test]
fn every_operation_of_the_service_is_in_a_flow() {
    let contract = Contract::parse(&document::<Api>()).unwrap_or_else(|errors| panic!("{errors}"));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flows.toml");
    let flows = flows(&file).unwrap_or_else(|error| panic!("{error}"));
    assert_flows(&flows, &contract);
}
