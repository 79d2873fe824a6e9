//! Orders placed while workers are killed: the small size of `make soak-jobs`.

use std::path::Path;

use tools::soak::soak;

#[tokio::test(flavor = "multi_thread")]
async fn every_order_is_confirmed_once_however_often_its_worker_is_killed() {
    let seen = soak(Path::new(env!("CARGO_BIN_EXE_api-under-test")), 200, 3, |_| ()).await;
    assert_eq!(seen.confirmations, 200, "{seen}");
}
