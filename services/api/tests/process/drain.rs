//! Startup without a usable database, and graceful shutdown on SIGTERM.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::environment;

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_withdraws_readiness_first_and_fails_no_accepted_request() {
    let environment = environment()
        .await
        .set("shutdown.deregistration_delay", "1s")
        .set("rate_limit.anonymous_burst", "1000000")
        .set("rate_limit.anonymous_per_second", "1000000");
    assert!(environment.run(&["migrate"]).status.success());
    let mut server = environment.serve();
    server.wait_for_probe("/readyz", 200).await;

    // Clients behind a load balancer: keep-alive connections, and no new requests once the load balancer has seen 503.
    let (in_rotation, completed) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let (in_rotation, completed) = (in_rotation.clone(), completed.clone());
            let (client, url) = (reqwest::Client::new(), format!("{}/info", server.public));
            tokio::spawn(async move {
                while in_rotation.load(Ordering::SeqCst) {
                    let response = client
                        .get(&url)
                        .send()
                        .await
                        .expect("a response to every request");
                    assert_eq!(response.status(), 200);
                    response.bytes().await.expect("a complete response");
                    completed.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    while completed.load(Ordering::SeqCst) < 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let terminated = Instant::now();
    server.signal("TERM");
    server.wait_for_probe("/readyz", 503).await;
    let completed_before = completed.load(Ordering::SeqCst);
    // Until the load balancer reacts, new requests are served with `Connection: close`.
    while completed.load(Ordering::SeqCst) < completed_before + 100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let response = reqwest::get(format!("{}/info", server.public))
        .await
        .expect("a response");
    assert_eq!(response.headers()["connection"], "close");
    in_rotation.store(false, Ordering::SeqCst);
    for client in clients {
        client.await.expect("no request failed");
    }
    assert!(server.wait().success());
    assert!(
        terminated.elapsed() < Duration::from_secs(10),
        "{:?}",
        terminated.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_the_server_is_live_but_not_ready_and_stops_on_sigterm() {
    let environment = environment()
        .await
        .set("database.url", "postgres://app:app@127.0.0.1:1/nothing")
        .set("redis.url", "redis://127.0.0.1:1");
    let mut server = environment.serve();
    server.wait_for_probe("/livez", 200).await;
    server.wait_for_probe("/startupz", 503).await;
    server.wait_for_probe("/readyz", 503).await;
    server.wait_for_event("not started yet");
    server.signal("TERM");
    server.wait_for_event("stopped");
    assert!(server.wait().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outdated_schema_is_logged_and_the_server_starts_once_it_is_migrated() {
    let environment = environment().await;
    let server = environment.serve();
    let event = server.wait_for_event("not started yet");
    assert!(
        event["reason"]
            .as_str()
            .expect("a reason")
            .contains("api migrate"),
        "{event}"
    );
    assert!(environment.run(&["migrate"]).status.success());
    server.wait_for_event("started");
    server.wait_for_probe("/readyz", 200).await;
}

/// A worker that has not started has no jobs to wait for.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_postgres_stops_immediately() {
    let environment = environment()
        .await
        .set("database.url", "postgres://app:app@127.0.0.1:1/nothing");
    let mut worker = environment.work();
    worker.wait_for_probe("/livez", 200).await;
    worker.wait_for_event("not started yet");
    let terminated = Instant::now();
    worker.signal("TERM");
    assert!(worker.wait().success());
    assert!(
        terminated.elapsed() < Duration::from_secs(5),
        "{:?}",
        terminated.elapsed()
    );
}
