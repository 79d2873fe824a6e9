//! Every problem type of the service is triggered through real HTTP. A row that no test triggers fails the suite; those
//! of the platform are triggered in `crates/testkit/tests/platform`.

use api::problems::{CATALOGUE, OWN};

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_type_is_triggered() {
    for row in OWN {
        let known = Box::pin(crate::trigger(row.code)).await;
        assert!(known, "no test triggers {}; write one", row.code);
    }
}

#[test]
fn codes_are_unique_and_every_row_says_something_to_everybody() {
    testkit::assert_catalogue(CATALOGUE);
}
