//! The contract of the service, held against its catalogue.

use api::{SERVICE, problems::CATALOGUE};
use testkit::assert_contract;

#[test]
fn every_error_of_the_contract_is_in_the_catalogue_under_its_status() {
    let contract = SERVICE.definition().contract().document();
    let contract = serde_json::to_value(contract).expect("it serializes");
    let checked = assert_contract(&contract, CATALOGUE);
    assert!(checked > 10, "{checked}");
}
