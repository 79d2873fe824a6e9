//! Every problem type of the service is triggered through real HTTP. A row that no test triggers fails the suite; rows
//! of the platform are triggered in `crates/testkit/tests/platform`.

use api::problems::{CATALOGUE, OWN};

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_type_is_triggered() {
    for row in OWN {
        let triggered = Box::pin(crate::trigger(row.code)).await;
        assert!(triggered, "no test triggers {}; write one", row.code);
    }
}

#[test]
fn codes_are_unique_and_no_text_is_missing() {
    testkit::assert_catalogue(CATALOGUE);
}
