//! Request bodies that never end, never arrive or arrive slowly. A refused upload does not keep its connection open.

use std::time::{Duration, Instant};

use runtime::Phase;
use testkit::RawConnection;

use crate::{TestApp, assert_problem_parts};

use crate::catalogue::chunked_post;

const CLOSED_WITHIN: Duration = Duration::from_secs(3);
const CHUNK: &[u8] = b"4\r\n    \r\n";

async fn send_refused(app: &TestApp, head: &str, body: &[u8], code: &str) -> RawConnection {
    let mut connection = RawConnection::open(app.address).await;
    connection.send(head).await;
    connection.send(body).await;
    let response = connection.response().await;
    assert_problem_parts(response.status, &response.headers, &response.body, code);
    assert_eq!(response.headers["connection"], "close");
    connection
}

async fn assert_closes_silent_and_endless_uploads(app: &TestApp, head: &str, body: &[u8], code: &str) {
    let silent = send_refused(app, head, body, code).await.closed().await;
    assert!(silent < CLOSED_WITHIN, "{code}, silent: {silent:?}");
    let mut endless = send_refused(app, head, body, code).await;
    let endless = endless.upload_until_closed(CHUNK, Duration::from_millis(5)).await;
    assert!(endless < CLOSED_WITHIN, "{code}, endless: {endless:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_is_closed_after_404() {
    let app = TestApp::start().await;
    let head = "POST /nothing HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_closes_silent_and_endless_uploads(&app, head, CHUNK, "route-not-found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_is_closed_after_408() {
    let app = TestApp::build().set("http.body_timeout", "200ms").start().await;
    assert_closes_silent_and_endless_uploads(&app, &chunked_post(&app), CHUNK, "request-timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_is_closed_after_413() {
    let app = TestApp::start().await;
    let large = format!("{:x}\r\n{}\r\n", 70_000, " ".repeat(70_000));
    assert_closes_silent_and_endless_uploads(
        &app,
        &chunked_post(&app),
        large.as_bytes(),
        "content-too-large",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_is_closed_after_503() {
    let app = TestApp::start().await;
    app.app.platform.lifecycle.advance(Phase::Draining);
    assert_closes_silent_and_endless_uploads(&app, &chunked_post(&app), CHUNK, "shutting-down").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_does_not_count_against_the_deadline() {
    let app = TestApp::build().start().await;
    let body = testkit::notes::sample_note().to_string();
    let head = chunked_post(&app).replace("transfer-encoding: chunked\r\n", "x-request-timeout-ms: 300\r\n");
    let head = head.replacen(
        "\r\n\r\n",
        &format!("\r\ncontent-length: {}\r\n\r\n", body.len()),
        1,
    );
    let mut connection = RawConnection::open(app.address).await;
    connection.send(head).await;
    let (first, rest) = body.split_at(10);
    connection.send(first).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    connection.send(rest).await;
    assert_eq!(connection.response().await.status, 201);
}

/// Known quirk: a response that Actix sends before the service sees the request has no problem body.
#[tokio::test(flavor = "multi_thread")]
async fn actix_itself_responds_to_malformed_oversized_and_slow_heads() {
    let app = TestApp::start().await;
    let many = (0..120).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    let heads = [
        ("GET / HTTP/1.1\r\nbad header\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\nhost: test\r\n{many}\r\n"), 431),
        (
            format!(
                "GET / HTTP/1.1\r\nhost: test\r\nx-large: {}\r\n\r\n",
                "x".repeat(200 * 1024)
            ),
            431,
        ),
        ("GET / HTTP/1.1\r\nhost: te".to_owned(), 408),
    ];
    for (head, status) in heads {
        let mut connection = RawConnection::open(app.address).await;
        connection.send(&head).await;
        let response = connection.response().await;
        assert_eq!(
            (response.status, response.body.as_str()),
            (status, ""),
            "{head:.40}"
        );
    }
}

/// Known quirk: Actix has a timeout for the first head of a connection only. `http.max_connections` limits the cost.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_on_a_reused_connection_does_not_time_out() {
    let app = TestApp::start().await;
    let mut connection = RawConnection::open(app.address).await;
    connection.send("GET /info HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(connection.response().await.status, 200);
    connection.send("G").await;
    // Longer than the timeout of the first head, 5 s.
    let closed = tokio::time::timeout(Duration::from_secs(6), connection.closed()).await;
    assert!(
        closed.is_err(),
        "Actix closes the connection now: remove this quirk"
    );
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
    let short = TestApp::build().set("http.keep_alive", "2s").start().await;
    let closed = time_until_closed(&short, Duration::from_secs(4)).await;
    let closed = closed.expect("closed after http.keep_alive");
    // Actix reads a clock that it updates every 500 ms, so it may close the connection 500 ms early.
    assert!(closed > Duration::from_secs(1), "{closed:?}");

    let app = TestApp::start().await;
    assert_eq!(app.settings.http.keep_alive, Duration::from_secs(75));
    let closed = time_until_closed(&app, Duration::from_secs(6)).await;
    assert!(closed.is_err(), "closed after Actix's default of 5 s: {closed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_uploads_leave_permits_for_other_requests() {
    let app = TestApp::build().set("http.max_in_flight", "4").start().await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut connection = RawConnection::open(app.address).await;
        connection.send(chunked_post(&app)).await;
        slow.push(connection);
    }
    app.wait_for_uploads(2).await;
    let response = app.write(&testkit::notes::sample_note()).await;
    crate::assert_problem(
        response,
        testkit::notes::NOTES,
        reqwest::Method::POST,
        "overloaded",
    )
    .await;
    assert_eq!(app.get(testkit::notes::NOTES).await.status(), 200);
}
