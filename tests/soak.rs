//! Flows that run while workers are killed: a short version of `make soak`, with what arrived at the supplier.

use std::collections::BTreeSet;

use sqlx::types::Uuid;
use testkit::ProcessEnvironment;
use tools::soak::soak;

/// The job of every order, and whether the order was cancelled since.
const JOBS: &str = "SELECT job_runs.id, orders.status = 'cancelled' FROM job_runs \
                    JOIN orders ON orders.id = (payload ->> 'order_id')::uuid WHERE kind = 'send_confirmation'";

#[tokio::test(flavor = "multi_thread")]
async fn every_order_is_confirmed_once_although_workers_are_killed() {
    let free = ([127, 0, 0, 1], 0).into();
    let supplier = ::supplier::start(free, free).expect("free ports");
    let environment = ProcessEnvironment::new(env!("CARGO_BIN_EXE_api-under-test"))
        .await
        .set("supplier.url", &format!("http://{}", supplier.address))
        .set("rate_limit.burst", "1000000")
        .set("rate_limit.per_second", "1000000");
    let soaked = soak(&environment, 200, 3, |_| ()).await;
    let soaked = soaked.unwrap_or_else(|error| panic!("{error}"));
    assert!(soaked.succeeded["send_confirmation"] >= 175, "{soaked}");

    // The key of a notification is the id of its job: each was accepted once, however often it was sent.
    let accepted: BTreeSet<String> = supplier.received().notifications.into_keys().collect();
    let mut database = environment.database.connect().await;
    let jobs = sqlx::query_as::<_, (Uuid, bool)>(JOBS)
        .fetch_all(&mut database)
        .await;
    let jobs: Vec<_> = jobs
        .expect("the jobs")
        .into_iter()
        .map(|(id, cancelled)| (id.to_string(), cancelled))
        .collect();
    let unconfirmed = jobs
        .iter()
        .filter(|(id, cancelled)| !cancelled && !accepted.contains(id));
    assert_eq!(unconfirmed.count(), 0, "of {} orders", jobs.len());
    let of_an_order = |id: &&String| jobs.iter().any(|(known, _)| known == *id);
    assert_eq!(accepted.iter().filter(of_an_order).count(), accepted.len());
}
