//! Request bodies that never end, never arrive or arrive slowly. A refused upload does not keep its connection open.

use std::time::Duration;

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
    let request = app.request_as("bob", reqwest::Method::POST, testkit::notes::NOTES);
    let request = request
        .header("idempotency-key", "k")
        .json(&testkit::notes::sample_note());
    let response = request.send().await.expect("a response");
    crate::assert_problem(
        response,
        testkit::notes::NOTES,
        reqwest::Method::POST,
        "overloaded",
    )
    .await;
    assert_eq!(app.get(testkit::notes::NOTES).await.status(), 200);
}

/// One subject with slow uploads and slow requests must leave room for the others.
#[tokio::test(flavor = "multi_thread")]
async fn one_subject_has_only_its_share_of_the_permits() {
    let app = TestApp::build()
        .set("http.max_in_flight", "16")
        .set("rate_limit.max_share", "0.25")
        .start()
        .await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut connection = RawConnection::open(app.address).await;
        connection.send(chunked_post(&app)).await;
        slow.push(connection);
    }
    app.wait_for_uploads(2).await;
    let write = async |subject: &str| {
        let request = app.request_as(subject, reqwest::Method::POST, testkit::notes::NOTES);
        let request = request
            .header("idempotency-key", "k")
            .json(&testkit::notes::sample_note());
        request.send().await.expect("a response")
    };
    let refused = write("alice").await;
    let (notes, post) = (testkit::notes::NOTES, reqwest::Method::POST);
    crate::assert_problem(refused, notes, post, "quota-exceeded").await;
    assert_eq!(write("bob").await.status(), 201);

    let asleep: Vec<_> = (0..2)
        .map(|_| tokio::spawn(app.request(reqwest::Method::GET, "/v1/test/guarded").send()))
        .collect();
    app.wait_for_in_flight(4).await;
    let refused = app.get(notes).await;
    crate::assert_problem(refused, notes, reqwest::Method::GET, "quota-exceeded").await;
    let bob = app.request_as("bob", reqwest::Method::GET, notes).send().await;
    assert_eq!(bob.expect("a response").status(), 200);
    drop(asleep);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_415_and_names_what_is_accepted() {
    let app = TestApp::start().await;
    let request = app.write_request("k", &testkit::notes::sample_note());
    let response = request
        .header("content-encoding", "gzip")
        .send()
        .await
        .expect("a response");
    assert_eq!(response.headers()["accept-encoding"], "identity");
    let (notes, post) = (testkit::notes::NOTES, reqwest::Method::POST);
    crate::assert_problem(response, notes, post, "unsupported-media-type").await;
}
