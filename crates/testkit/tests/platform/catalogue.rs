//! Triggers every problem type over HTTP. A row of the catalogue without a trigger fails the test.

use std::time::{Duration, Instant};

use reqwest::Method;
use runtime::Phase;
use serde_json::json;
use testkit::{
    Mode, RawConnection,
    notes::{CATALOGUE, NOTES, sample_note},
    stub_server,
};

use crate::{TestApp, assert_problem, assert_problem_parts};

const NOTE: &str = "/v1/test/notes/{id}";

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_type_is_triggered() {
    for row in CATALOGUE.iter() {
        Box::pin(trigger(row.code)).await;
    }
}

#[test]
fn codes_are_unique_and_every_row_is_complete() {
    testkit::assert_catalogue(CATALOGUE);
}

#[expect(clippy::too_many_lines, reason = "one arm for each problem type")]
async fn trigger(code: &str) {
    let (post, get) = (Method::POST, Method::GET);
    match code {
        "malformed-json" => {
            let app = TestApp::start().await;
            let request = app.request(Method::POST, NOTES).header("idempotency-key", "k");
            let response = request
                .header("content-type", "application/json")
                .body("{\"items\": ")
                .send()
                .await;
            assert_problem(response.expect("a response"), NOTES, post, code).await;
        }
        "invalid-request" => {
            let app = TestApp::start().await;
            assert_problem(app.write(&json!({})).await, NOTES, post, code).await;
        }
        "note-copied" => {
            let app = TestApp::start().await;
            let copies = format!("{}/copies", app.create_note().await);
            let copy = async |key: &str| {
                let request = app.request(Method::POST, &copies).header("idempotency-key", key);
                request.send().await.expect("a response")
            };
            assert_eq!(copy("one").await.status(), 201);
            assert_problem(copy("two").await, "/v1/test/notes/{id}/copies", post, code).await;
        }
        "invalid-query" => {
            let app = TestApp::start().await;
            assert_problem(app.get("/v1/test/echo?limit=0").await, "/v1/test/echo", get, code).await;
        }
        "invalid-path" => {
            let app = TestApp::start().await;
            assert_problem(app.get("/v1/test/notes/17").await, NOTE, get, code).await;
        }
        "idempotency-key-missing" => {
            let app = TestApp::start().await;
            let response = app
                .request(Method::POST, NOTES)
                .json(&sample_note())
                .send()
                .await
                .expect("a response");
            assert_problem(response, NOTES, post, code).await;
        }
        "unauthenticated" => {
            let app = TestApp::start().await;
            let response = app
                .anonymous(Method::GET, NOTES)
                .send()
                .await
                .expect("a response");
            assert!(
                response.headers()["www-authenticate"]
                    .to_str()
                    .expect("ASCII")
                    .starts_with("Bearer")
            );
            assert_problem(response, NOTES, get, code).await;
        }
        "forbidden" => {
            let app = TestApp::start().await;
            let request = app
                .anonymous(Method::POST, NOTES)
                .bearer_auth(app.token("alice", "test:read"));
            let response = request.send().await.expect("a response");
            assert!(
                response.headers()["www-authenticate"]
                    .to_str()
                    .expect("ASCII")
                    .contains("test:write")
            );
            assert_problem(response, NOTES, post, code).await;
        }
        "route-not-found" => {
            let app = TestApp::start().await;
            assert_problem(app.get("/v2/nothing").await, "unmatched", get, code).await;
        }
        "method-not-allowed" => {
            let app = TestApp::start().await;
            let response = app.request(Method::PUT, NOTES).send().await.expect("a response");
            assert_eq!(response.headers()["allow"], "GET, HEAD, OPTIONS, POST");
            assert_problem(response, NOTES, Method::PUT, code).await;
        }
        "request-timeout" => {
            let app = TestApp::build().set("http.body_timeout", "100ms").start().await;
            let mut connection = RawConnection::open(app.address).await;
            connection.send(chunked_post(&app)).await;
            let response = connection.response().await;
            assert_problem_parts(response.status, &response.headers, &response.body, code);
        }
        "idempotency-in-progress" => {
            // The first write must still wait for the lock when the second has been refused.
            let app = TestApp::build()
                .set("retry.max_attempts", "1")
                .set("database.lock_timeout", "2s")
                .set("database.statement_timeout", "2100ms")
                .start()
                .await;
            let lock = app.database.lock_notes().await;
            let first = tokio::spawn(app.write_request("same", &sample_note()).send());
            app.database.wait_for_lock_waiter().await;
            assert_problem(
                app.write_with_key("same", &sample_note()).await,
                NOTES,
                post,
                code,
            )
            .await;
            lock.release().await;
            assert_eq!(first.await.expect("no panic").expect("a response").status(), 201);
        }
        "content-too-large" => {
            let app = TestApp::start().await;
            let mut large = sample_note();
            large["text"] = "x".repeat(70_000).into();
            assert_problem(app.write(&large).await, NOTES, post, code).await;
        }
        "unsupported-media-type" => {
            let app = TestApp::start().await;
            let request = app
                .request(Method::POST, NOTES)
                .header("idempotency-key", "k")
                .body("a=b");
            assert_problem(request.send().await.expect("a response"), NOTES, post, code).await;
        }
        "idempotency-key-reused" => {
            let app = TestApp::start().await;
            assert_eq!(app.write_with_key("same", &sample_note()).await.status(), 201);
            let mut other = sample_note();
            other["text"] = "another".into();
            assert_problem(app.write_with_key("same", &other).await, NOTES, post, code).await;
        }
        "quota-exceeded" => {
            let app = TestApp::build()
                .set("rate_limit.burst", "1")
                .set("rate_limit.per_second", "1")
                .start()
                .await;
            assert_eq!(app.get(NOTES).await.status(), 200);
            assert_problem(app.get(NOTES).await, NOTES, get, code).await;
        }
        "head-too-large" => {
            let app = TestApp::start().await;
            let request = app
                .request(Method::GET, NOTES)
                .header("x-large", "x".repeat(20 * 1024));
            assert_problem(request.send().await.expect("a response"), NOTES, get, code).await;
        }
        "internal" => {
            let app = TestApp::start().await;
            assert_problem(app.get("/v1/test/panic").await, "/v1/test/panic", get, code).await;
        }
        "dependency-unavailable" => {
            let app = TestApp::build().postgres_proxy().start().await;
            app.postgres.as_ref().expect("built with a proxy").set(Mode::Cut);
            assert_problem(app.get(NOTES).await, NOTES, get, code).await;
        }
        "database-read-only" => {
            // The refused write closes its connection. On a busy machine opening the next one can take longer than the
            // default, which would be a 503 of its own.
            let app = TestApp::build()
                .set("database.acquire_timeout", "2s")
                .set("retry.max_attempts", "1")
                .start()
                .await;
            make_read_only(&app).await;
            assert_problem(app.write(&sample_note()).await, NOTES, post, code).await;
            assert_eq!(app.get(NOTES).await.status(), 200);
        }
        "storage-exhausted" => {
            let app = TestApp::start().await;
            app.database.fail_inserts("53100", 1_000).await;
            assert_problem(app.write(&sample_note()).await, NOTES, post, code).await;
        }
        "contention" => {
            let app = TestApp::start().await;
            app.database.fail_inserts("40001", 1_000).await;
            assert_problem(app.write(&sample_note()).await, NOTES, post, code).await;
        }
        "overloaded" => {
            let app = TestApp::build().set("http.max_in_flight", "1").start().await;
            let slow = tokio::spawn(app.request(Method::GET, "/v1/test/slow").send());
            app.wait_for_in_flight(1).await;
            assert_problem(app.get(NOTES).await, NOTES, get, code).await;
            assert_eq!(slow.await.expect("no panic").expect("a response").status(), 200);
        }
        "shutting-down" => {
            let app = TestApp::start().await;
            app.app.platform.lifecycle.advance(Phase::Draining);
            let response = app.get(NOTES).await;
            assert_eq!(response.headers()["connection"], "close");
            assert_problem(response, NOTES, get, code).await;
        }
        "deadline-exceeded" | "client-deadline-exceeded" => {
            let app = TestApp::build().postgres_proxy().start().await;
            app.postgres
                .as_ref()
                .expect("built with a proxy")
                .set(Mode::Pause);
            let mut request = app.request(Method::GET, NOTES);
            if code == "client-deadline-exceeded" {
                request = request.header("x-request-timeout-ms", "200");
            }
            assert_problem(request.send().await.expect("a response"), NOTES, get, code).await;
        }
        "upstream-error" | "upstream-invalid" | "upstream-unavailable" => {
            let port = match code {
                "upstream-error" => {
                    stub_server("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")
                        .await
                        .0
                }
                "upstream-invalid" => {
                    stub_server("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nsqlx")
                        .await
                        .0
                }
                _ => 1,
            };
            let app = TestApp::build().set("partner.url", &format!("http://127.0.0.1:{port}"));
            let app = app.start().await;
            let response = app.get("/v1/test/upstream").await;
            assert_problem(response, "/v1/test/upstream", get, code).await;
        }
        _ => assert!(
            crate::jobs::trigger(code).await,
            "no test triggers {code}; write one"
        ),
    }
}

/// The head of a request that writes a note, with a chunked body that never arrives.
pub(crate) fn chunked_post(app: &TestApp) -> String {
    format!(
        "POST /v1/test/notes HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\nidempotency-key: k\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        app.token("alice", "test:write")
    )
}

/// Makes the database read-only and waits until the app can read from it again: on a slow machine the first new
/// connection takes longer than `database.acquire_timeout`, and a write would be refused for that reason.
pub(crate) async fn make_read_only(app: &TestApp) {
    app.database.make_read_only().await;
    let started = Instant::now();
    while app.get(NOTES).await.status() != 200 {
        assert!(started.elapsed() < Duration::from_secs(20), "no read succeeds");
    }
}
