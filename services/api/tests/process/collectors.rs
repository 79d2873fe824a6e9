//! A collector that hangs or refuses spans costs only the spans: it delays neither requests nor shutdown.

use std::time::{Duration, Instant};

use testkit::{Collector, CollectorBehavior, ProcessEnvironment, Server};

use super::environment;

/// Starts a server. Dropping the environment drops its database, so it must outlive the server.
async fn serve(collector: &Collector) -> (ProcessEnvironment, Server) {
    let environment = environment()
        .await
        .set("telemetry.endpoint", &format!("http://{}", collector.address))
        .set("telemetry.sample_ratio", "1")
        .set("telemetry.queue_size", "16")
        .set("telemetry.export_timeout", "2s")
        .set("shutdown.flush_timeout", "1s")
        .set("shutdown.deregistration_delay", "0s")
        .set("rate_limit.anonymous_burst", "1000000")
        .set("rate_limit.anonymous_per_second", "1000000");
    assert!(environment.run(&["migrate"]).status.success());
    let server = environment.serve();
    server.wait_for_probe("/readyz", 200).await;
    (environment, server)
}

/// Sends requests until a span is dropped for this reason. No request may wait for the collector.
async fn request_until_dropped(server: &Server, reason: &str) {
    let series = format!("telemetry_dropped_total{{reason=\"{reason}\"}} ");
    let began = Instant::now();
    loop {
        for _ in 0..20 {
            let sent = Instant::now();
            let response = reqwest::get(format!("{}/info", server.public))
                .await
                .expect("a response");
            assert_eq!(response.status(), 200);
            assert!(
                sent.elapsed() < Duration::from_secs(1),
                "the request waited for the collector"
            );
        }
        let metrics = reqwest::get(format!("{}/metrics", server.management))
            .await
            .expect("a response");
        let metrics = metrics.text().await.expect("text");
        let dropped = metrics.lines().find_map(|sample| sample.strip_prefix(&series));
        if dropped.expect("the series exists from the start") != "0" {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{reason} is not counted"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_collector_delays_neither_requests_nor_shutdown() {
    let collector = Collector::start();
    collector.set(CollectorBehavior::Hang);
    let (_environment, mut server) = serve(&collector).await;
    request_until_dropped(&server, "queue").await;
    request_until_dropped(&server, "export").await;
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
async fn a_refusing_collector_is_logged_once_and_so_is_its_recovery() {
    let collector = Collector::start();
    collector.set(CollectorBehavior::Reject);
    let (_environment, server) = serve(&collector).await;
    request_until_dropped(&server, "export").await;
    let event = server.wait_for_event("the collector rejects spans");
    assert_eq!(event["severity"], "WARNING");
    collector.set(CollectorBehavior::Accept);
    request_until_spans(&server, &collector).await;
    // The exporter logs nothing in between: there is no line per dropped batch.
    let event = server.wait_for_event("the collector");
    assert_eq!(event["message"], "the collector accepts spans again");
}

async fn request_until_spans(server: &Server, collector: &Collector) {
    let began = Instant::now();
    while collector.spans().is_empty() {
        reqwest::get(format!("{}/info", server.public))
            .await
            .expect("a response");
        assert!(began.elapsed() < Duration::from_secs(20), "no span arrives");
    }
}
