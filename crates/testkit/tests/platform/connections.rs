//! Connections that are slow, silent, idle, old or closed by the client.

use std::time::{Duration, Instant};

use testkit::RawConnection;

use crate::{TestApp, TestAppBuilder, catalogue::chunked_post};

/// A request that needs no token.
const REQUEST: &str = "GET /info HTTP/1.1\r\nhost: test\r\n\r\n";
/// The time for a head to arrive, and for the check that closes the connection after it.
const HEAD_TIMEOUT: std::ops::Range<Duration> = Duration::from_secs(5)..Duration::from_secs(7);

/// A single thread, so that its connections share one limit.
fn one_thread(max_connections: usize) -> TestAppBuilder {
    TestApp::build()
        .set("http.workers", "1")
        .set("http.max_in_flight", &max_connections.to_string())
        .set("http.max_connections", &max_connections.to_string())
}

async fn used(app: &TestApp) -> RawConnection {
    let mut connection = RawConnection::open(app.address).await;
    connection.send(REQUEST).await;
    assert_eq!(connection.response().await.status, 200);
    connection
}

/// Waits until a metric has a value.
async fn wait_for_metric(app: &TestApp, name: &str, value: f64) {
    let started = Instant::now();
    while (app.metric(name).await - value).abs() > 0.5 {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{name} is not {value}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_on_a_reused_connection_times_out() {
    let app = TestApp::start().await;
    let mut connection = used(&app).await;
    connection.send("G").await;
    let closed = connection.closed().await;
    assert!(HEAD_TIMEOUT.contains(&closed), "{closed:?}");
    let reason = "http_server_closed_connections_total{reason=\"head_timeout\"}";
    assert_eq!(app.metric(reason).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_heads_at_the_connection_limit_keep_nobody_out() {
    let app = one_thread(4).start().await;
    let mut hostile = Vec::new();
    for _ in 0..4 {
        let mut connection = used(&app).await;
        connection.send("G").await;
        hostile.push(connection);
    }
    assert_eq!(app.metric("http_server_open_connections_limit").await, 4.0);
    let before = Instant::now();
    drop(used(&app).await);
    assert!(
        before.elapsed() < Duration::from_secs(1),
        "{:?}",
        before.elapsed()
    );
    let oldest = hostile.first_mut().expect("four");
    assert!(oldest.closed().await < Duration::from_secs(1));
    assert_eq!(
        app.metric("http_server_closed_connections_total{reason=\"limit\"}")
            .await,
        1.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn open_connections_are_counted() {
    let app = TestApp::build().set("http.keep_alive", "90s").start().await;
    assert_eq!(app.metric("http_server_open_connections ").await, 0.0);
    let connections = [used(&app).await, used(&app).await];
    assert_eq!(app.metric("http_server_open_connections ").await, 2.0);
    drop(connections);
    wait_for_metric(&app, "http_server_open_connections ", 0.0).await;
}

/// A client that gives up closes its connection in the ordinary way. Its request must not go on, and must not count as
/// served.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_ends_when_its_client_closes_the_connection() {
    let app = TestApp::start().await;
    let mut connection = RawConnection::open(app.address).await;
    connection
        .send("GET /v1/test/endless HTTP/1.1\r\nhost: test\r\n\r\n")
        .await;
    app.wait_for_in_flight(1).await;
    let closed = Instant::now();
    connection.close().await;
    app.wait_for_in_flight(0).await;
    // Well before the deadline of the request, 3 s.
    assert!(
        closed.elapsed() < Duration::from_secs(1),
        "{:?}",
        closed.elapsed()
    );
    let abandoned =
        "http_server_abandoned_requests_total{http_request_method=\"GET\",http_route=\"/v1/test/endless\"}";
    assert_eq!(app.metric(abandoned).await, 1.0);
}

const GAVE_UP: &str = "http_server_responses_total{http_request_method=\"GET\",http_route=\"/v1/test/endless\",code_class=\"client_gave_up\"}";

/// A client that waited and gave up got no response: that is a failure, also of the release that caused it. One that
/// leaves at once has changed its mind.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_client_gave_up_waiting_has_failed() {
    for (threshold, waits, failed) in [("30s", 0, 0.0), ("200ms", 250, 1.0)] {
        let app = TestApp::build()
            .set("http.give_up_threshold", threshold)
            .start()
            .await;
        let mut connection = RawConnection::open(app.address).await;
        connection
            .send("GET /v1/test/endless HTTP/1.1\r\nhost: test\r\n\r\n")
            .await;
        app.wait_for_in_flight(1).await;
        tokio::time::sleep(Duration::from_millis(waits)).await;
        connection.close().await;
        app.wait_for_in_flight(0).await;
        assert_eq!(app.metric(GAVE_UP).await, failed, "after {waits} ms");
    }
}

/// Services that call each other send their deadline and disconnect when it passes, usually before the 504 arrives.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disconnects_at_its_own_deadline_gave_up_unless_that_was_too_short() {
    for (deadline, failed) in [(600, 1.0), (200, 0.0)] {
        let app = TestApp::start().await;
        let mut connection = RawConnection::open(app.address).await;
        connection
            .send(format!(
                "GET /v1/test/endless HTTP/1.1\r\nhost: test\r\nx-request-timeout-ms: {deadline}\r\n\r\n"
            ))
            .await;
        app.wait_for_in_flight(1).await;
        tokio::time::sleep(Duration::from_millis(deadline - 10)).await;
        connection.close().await;
        app.wait_for_in_flight(0).await;
        assert_eq!(app.metric(GAVE_UP).await, failed, "{deadline} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_its_client_cuts_off_is_abandoned_and_not_malformed() {
    let app = TestApp::start().await;
    let mut connection = RawConnection::open(app.address).await;
    connection.send(chunked_post(&app)).await;
    connection.send("4\r\n    \r\n").await;
    app.wait_for_uploads(1).await;
    connection.close().await;
    app.wait_for_in_flight(0).await;
    let route = "http_request_method=\"POST\",http_route=\"/v1/test/notes\"";
    let abandoned = format!("http_server_abandoned_requests_total{{{route}}}");
    assert_eq!(app.metric(&abandoned).await, 1.0);
    let malformed = format!("http_server_problems_total{{{route},problem=\"malformed-json\"}}");
    assert_eq!(app.metric(&malformed).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_its_response_is_disconnected() {
    let app = TestApp::build().set("http.send_timeout", "500ms").start().await;
    let mut connection = RawConnection::open(app.address).await;
    connection
        .send("GET /v1/test/numbers/0/100000000 HTTP/1.1\r\nhost: test\r\n\r\n")
        .await;
    let closed = "http_server_closed_connections_total{reason=\"send_timeout\"}";
    wait_for_metric(&app, closed, 1.0).await;
    wait_for_metric(&app, "http_server_open_connections ", 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_response_on_an_old_connection_is_its_last() {
    let app = TestApp::build()
        .set("http.max_connection_age", "300ms")
        .start()
        .await;
    let mut connection = used(&app).await;
    tokio::time::sleep(Duration::from_millis(350)).await;
    connection.send(REQUEST).await;
    let response = connection.response().await;
    assert_eq!(
        (response.status, &response.headers["connection"]),
        (200, &"close".parse().expect("a value"))
    );
    assert!(connection.closed().await < Duration::from_secs(1));
}

/// The default is longer than the idle timeout of an ingress (commonly 60 s): the ingress must not send a request on a
/// connection that is being closed.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_stays_open_for_the_configured_time() {
    let time_until_closed = async |app: &TestApp, at_most: Duration| {
        let mut connection = RawConnection::open(app.address).await;
        let sent = Instant::now();
        connection.send("GET /info HTTP/1.1\r\nhost: test\r\n\r\n").await;
        assert_eq!(connection.response().await.status, 200);
        let closed = tokio::time::timeout(at_most, connection.closed()).await;
        closed.map(|_| sent.elapsed())
    };
    let short = TestApp::build()
        .set("http.ingress_idle_timeout", "1s")
        .set("http.keep_alive", "2s")
        .start()
        .await;
    let closed = time_until_closed(&short, Duration::from_secs(4)).await;
    let closed = closed.expect("closed after http.keep_alive");
    assert!(closed >= Duration::from_secs(2), "{closed:?}");

    let app = TestApp::start().await;
    assert_eq!(app.settings.http.keep_alive, Duration::from_secs(75));
    let closed = time_until_closed(&app, Duration::from_secs(6)).await;
    assert!(closed.is_err(), "closed after Actix's default of 5 s: {closed:?}");
}

/// A handler that blocks its thread also blocks the timers of that thread, so that no deadline ends its requests.
#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_thread_turns_liveness_red() {
    let app = TestApp::build().set("http.workers", "1").start().await;
    let mut connection = RawConnection::open(app.address).await;
    connection
        .send("GET /v1/test/blocking HTTP/1.1\r\nhost: test\r\n\r\n")
        .await;
    let unready = app.wait_for("/readyz", 503).await;
    let dead = unready + app.wait_for("/livez", 503).await;
    assert!(dead < Duration::from_secs(12), "{dead:?}");
    assert!(app.metric("http_server_thread_stalled_seconds").await >= 10.0);
    testkit::notes::unblock();
    app.wait_for("/livez", 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_management_port_can_have_an_address_of_its_own() {
    let app = TestApp::build()
        .set("http.management_host", "127.0.0.2")
        .start()
        .await;
    assert_eq!(app.app.management.address.ip().to_string(), "127.0.0.2");
    assert_eq!(app.address.ip().to_string(), "127.0.0.1");
}
