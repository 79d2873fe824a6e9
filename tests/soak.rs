//! Orders placed while workers are killed: a short version of `make soak`.

use std::path::Path;

use tools::soak::soak;

#[tokio::test(flavor = "multi_thread")]
async fn every_order_is_confirmed_once_although_workers_are_killed() {
    let result = soak(Path::new(env!("CARGO_BIN_EXE_api-under-test")), 200, 3, |_| ()).await;
    assert_eq!(result.confirmations, 200, "{result}");
}
