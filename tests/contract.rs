//! The contract of the service, checked against its catalogue.

use api::{SERVICE, problems::CATALOGUE};
use testkit::{assert_contract, assert_scopes};

use crate::TestApp;

#[test]
fn every_error_of_the_contract_is_in_the_catalogue_under_its_status() {
    let contract = SERVICE.definition().contract().document();
    let contract = serde_json::to_value(contract).expect("it serializes");
    let checked = assert_contract(&contract, CATALOGUE);
    assert!(checked > 10, "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_with_a_scope_requires_it() {
    let app = TestApp::start().await;
    let checked = assert_scopes(&app).await;
    assert!(checked > 0, "{checked}");
}
