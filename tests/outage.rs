//! An outage of the supplier while orders are placed. `make outage` runs the long form: `OUTAGE` is its length in seconds.

use std::time::{Duration, Instant};

use ::supplier::{Endpoint, Fault};
use futures_util::future::join_all;
use sqlx::types::Uuid;

use crate::{
    TestApp,
    orders::{order, place},
    supplier::shop,
};

/// The length of the outage, in seconds, unless `OUTAGE` is set.
const SHORT: u64 = 20;
/// Orders placed at the same time, each second.
const PER_SECOND: usize = 10;
/// The longest wait for the backlog after the outage.
const RECOVERY: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_of_the_supplier_every_confirmation_is_delivered_once() {
    let outage = std::env::var("OUTAGE").map_or(SHORT, |text| text.parse().expect("OUTAGE is in seconds"));
    let outage = Duration::from_secs(outage);
    let shop = shop(TestApp::build().worker().set("rate_limit.per_second", "1000")).await;
    shop.supplier
        .set_fault(Endpoint::Notifications, Some(Fault::Status { status: 503 }));
    let (began, body, mut placed) = (Instant::now(), order(), 0);
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    while began.elapsed() < outage {
        ticks.tick().await;
        for response in join_all((0..PER_SECOND).map(|_| place(&shop, &body))).await {
            assert_eq!(response.status(), 201, "orders are accepted during the outage");
            placed += 1;
        }
    }
    let confirmations = "SELECT count(*) FROM job_runs WHERE kind = 'send_confirmation'";
    let waiting = format!("{confirmations} AND status IN ('queued', 'running')");
    shop.database
        .wait_until(&waiting, |waiting| waiting == placed)
        .await;
    assert_eq!(shop.supplier.received().notifications.len(), 0);

    shop.supplier.set_fault(Endpoint::Notifications, None);
    let (back, mut waits) = (Instant::now(), placed);
    while waits > 0 {
        assert!(
            back.elapsed() < RECOVERY,
            "{waits} of {placed} confirmations still wait"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
        waits = sqlx::query_scalar(sqlx::AssertSqlSafe(waiting.clone()))
            .fetch_one(&mut shop.database.connect().await)
            .await
            .expect("a number");
    }
    println!(
        "{placed} confirmations delivered {:?} after {outage:?} of outage",
        back.elapsed()
    );
    let ids = "SELECT id FROM job_runs WHERE kind = 'send_confirmation' AND status = 'succeeded'";
    let ids: Vec<Uuid> = sqlx::query_scalar(ids)
        .fetch_all(&mut shop.database.connect().await)
        .await
        .expect("the runs");
    let notifications = shop.supplier.received().notifications;
    assert_eq!(ids.len(), notifications.len());
    for id in ids {
        assert_eq!(notifications.get(&id.to_string()), Some(&1), "{id}");
    }
}
