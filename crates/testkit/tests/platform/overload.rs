//! Ten times the load there is room for.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use testkit::Mode;

use crate::{TestApp, assert_problem};

fn resident_megabytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells the size of a process");
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .expect("resident pages")
        .parse()
        .expect("a number");
    pages * 4096 / 1_000_000
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_times_the_capacity_is_served_or_shed_and_memory_stays_bounded() {
    let app = TestApp::build()
        .set("http.max_in_flight", "8")
        .set("rate_limit.burst", "100000")
        .set("rate_limit.per_second", "100000")
        .postgres_proxy()
        .start()
        .await;
    app.postgres
        .as_ref()
        .expect("asked for")
        .set(Mode::Delay(Duration::from_millis(10)));
    let before = resident_megabytes();
    let client = |_| async {
        let (mut served, mut shed) = (Vec::new(), Vec::new());
        for _ in 0..25 {
            let asked = Instant::now();
            let response = app.get("/v1/test/notes").await;
            let took = asked.elapsed();
            if response.status() == 200 {
                served.push(took);
            } else {
                assert_problem(response, "/v1/test/notes", Method::GET, "overloaded").await;
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
    // Who is shed waits for the machine alone; who is accepted may wait for its deadline, too.
    assert!(
        served < shed + app.settings.http.deadline,
        "accepted, but late: {served:?}, shed in {shed:?}"
    );
    let grown = resident_megabytes().saturating_sub(before);
    assert!(grown < 100, "grown by {grown} MB");
    assert_eq!(app.management("/livez").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_answer_while_every_place_is_taken() {
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
    assert_eq!(slow.await.expect("no panic").expect("an answer").status(), 200);
}
