//! Load of ten times the capacity.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use testkit::{
    Mode, ProcessEnvironment, Proxy,
    notes::{NOTES, SERVICE},
};

use crate::{TestApp, assert_problem};

/// The default of `http.deadline`.
const DEADLINE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_capacity_are_shed_and_memory_stays_bounded() {
    // In a separate process: the memory of this one includes all tests that run concurrently.
    let environment = ProcessEnvironment::new(env!("CARGO_BIN_EXE_test-service")).await;
    let (proxy, url) = Proxy::before(&environment.database.url).await;
    let environment = environment
        .set("database.url", &url)
        .set("http.max_in_flight", "8")
        // Connections are opened under this load; other tests cover how long that may take.
        .set("database.acquire_timeout", "2s")
        .set("retry.max_attempts", "1")
        .set("rate_limit.max_share", "1")
        .set("rate_limit.burst", "100000")
        .set("rate_limit.per_second", "100000");
    environment.database.migrate(SERVICE.definition().schema).await;
    let server = environment.serve();
    server.wait_for_probe("/readyz", 200).await;
    proxy.set(Mode::Delay(Duration::from_millis(10)));
    let before = server.resident_kib();
    let (notes, token) = (format!("{}{NOTES}", server.public), environment.token("alice"));
    let http = reqwest::Client::new();
    let client = |_| async {
        let (mut served, mut shed) = (Vec::new(), Vec::new());
        for _ in 0..25 {
            let sent = Instant::now();
            let response = http.get(&notes).bearer_auth(&token).send().await;
            let response = response.expect("a response");
            let took = sent.elapsed();
            if response.status() == 200 {
                served.push(took);
            } else {
                assert_problem(response, NOTES, Method::GET, "overloaded").await;
                shed.push(took);
            }
        }
        (served, shed)
    };
    let results = join_all((0..80).map(client)).await;
    let (served, shed): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    let slowest = |all: Vec<Vec<Duration>>| all.into_iter().flatten().max();
    let served = slowest(served).expect("some are served");
    let shed = slowest(shed).expect("some are shed");
    // A shed request waits only for the machine; an accepted one may also wait until its deadline.
    assert!(
        served < shed + DEADLINE,
        "accepted but late: served in {served:?}, shed in {shed:?}"
    );
    let growth = server.resident_kib().saturating_sub(before);
    assert!(growth < 100_000, "memory grew by {growth} KiB");
    server.wait_for_probe("/livez", 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_respond_while_every_permit_is_taken() {
    let app = TestApp::build().set("http.max_in_flight", "1").start().await;
    let slow = tokio::spawn(app.request(Method::GET, "/v1/test/slow").send());
    app.wait_for_in_flight(1).await;
    for probe in [
        "/livez",
        "/readyz",
        "/startupz",
        "/metrics",
        "/status",
        "/dependencies",
    ] {
        assert_eq!(app.management(probe).await.status(), 200, "{probe}");
    }
    assert_eq!(slow.await.expect("no panic").expect("a response").status(), 200);
}
