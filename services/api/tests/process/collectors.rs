//! Collectors that hang or refuse cost nobody but the spans themselves.

use std::time::{Duration, Instant};

use testkit::{Collecting, Collector, Environment, Server};

use super::environment;

/// The environment is to outlive the server: its database goes with it.
async fn serve(collector: &Collector) -> (Environment, Server) {
    let environment = environment()
        .await
        .set("telemetry.endpoint", &format!("http://{}", collector.address))
        .set("telemetry.sample_ratio", "1")
        .set("telemetry.queue", "16")
        .set("telemetry.export_timeout", "2s")
        .set("shutdown.flush", "1s")
        .set("shutdown.readiness_wait", "0s")
        .set("rate_limit.anonymous_burst", "1000000")
        .set("rate_limit.anonymous_per_second", "1000000");
    assert!(environment.run(&["migrate"]).status.success());
    let server = environment.serve();
    server.wait_for_probe("/readyz", 200).await;
    (environment, server)
}

/// Sends requests until this reason has lost a span; none of them waits for the collector.
async fn ask_until_dropped(server: &Server, reason: &str) {
    let line = format!("telemetry_dropped_total{{reason=\"{reason}\"}} ");
    let began = Instant::now();
    loop {
        for _ in 0..20 {
            let asked = Instant::now();
            let response = reqwest::get(format!("{}/info", server.public))
                .await
                .expect("an answer");
            assert_eq!(response.status(), 200);
            assert!(
                asked.elapsed() < Duration::from_secs(1),
                "it waited for the collector"
            );
        }
        let metrics = reqwest::get(format!("{}/metrics", server.management))
            .await
            .expect("an answer");
        let metrics = metrics.text().await.expect("text");
        let dropped = metrics.lines().find_map(|other| other.strip_prefix(&line));
        if dropped.expect("there from the start") != "0" {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{reason} is not counted"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_hangs_delays_no_request_and_not_the_end() {
    let collector = Collector::start();
    collector.set(Collecting::Hanging);
    let (_environment, mut server) = serve(&collector).await;
    ask_until_dropped(&server, "queue").await;
    ask_until_dropped(&server, "export").await;
    let terminated = Instant::now();
    server.signal("TERM");
    assert!(server.wait().success());
    assert!(
        terminated.elapsed() < Duration::from_secs(4),
        "{:?}",
        terminated.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_refuses_is_told_once_and_told_when_it_is_well_again() {
    let collector = Collector::start();
    collector.set(Collecting::Refusing);
    let (_environment, server) = serve(&collector).await;
    ask_until_dropped(&server, "export").await;
    let told = server.wait_for_event("the collector does not take spans");
    assert_eq!(told["level"], "WARN");
    collector.set(Collecting::Well);
    ask_until_spans(&server, &collector).await;
    // The next event of the exporter is this one: no line per lost batch.
    let told = server.wait_for_event("the collector");
    assert_eq!(told["message"], "the collector takes spans again");
}

async fn ask_until_spans(server: &Server, collector: &Collector) {
    let began = Instant::now();
    while collector.spans().is_empty() {
        reqwest::get(format!("{}/info", server.public))
            .await
            .expect("an answer");
        assert!(began.elapsed() < Duration::from_secs(20), "nothing arrives");
    }
}
