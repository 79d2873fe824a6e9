//! Calls of upstream services: what they are sent, what their answers become, and settings that cannot work.

use std::time::Instant;

use reqwest::Method;
use testkit::{ProcessEnvironment, notes::SERVICE, stub_server};

use crate::{TestApp, assert_problem};

/// A service that is called must not work for a response that comes too late, and its own wait reaches our client.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_service_gets_the_deadline_and_its_retry_after_reaches_the_client() {
    let busy = "HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let (port, mut requests) = stub_server(busy).await;
    let app = TestApp::build()
        .set("partner.url", &format!("http://127.0.0.1:{port}"))
        .start()
        .await;
    let (route, get) = ("/v1/test/upstream", Method::GET);
    let started = Instant::now();
    let request = app
        .request(get.clone(), route)
        .header("x-request-timeout-ms", "600");
    let response = request.send().await.expect("a response");
    let wait = response.headers()["retry-after"]
        .to_str()
        .expect("ASCII")
        .to_owned();
    assert!(["7", "8"].contains(&wait.as_str()), "{wait}");
    assert_problem(response, route, get.clone(), "upstream-unavailable").await;
    let request = requests.recv().await.expect("a request").to_lowercase();
    let sent = request
        .lines()
        .find_map(|line| line.strip_prefix("x-request-timeout-ms: "));
    let sent: u64 = sent.expect("a deadline").parse().expect("milliseconds");
    assert!((1..=600).contains(&sent), "{sent}");
    // The wait is longer than the deadline: no second attempt was made.
    assert!(requests.try_recv().is_err());
    assert!(started.elapsed().as_secs() < 5);

    // Once the circuit breaker is open, the wait is the time until its next probe, 4 to 6 seconds.
    for _ in 0..10 {
        app.get(route).await;
    }
    let open = app.get(route).await;
    let wait: u64 = open.headers()["retry-after"]
        .to_str()
        .expect("ASCII")
        .parse()
        .expect("seconds");
    assert!((3..=7).contains(&wait), "{wait}");
    let problem = assert_problem(open, route, get, "upstream-unavailable").await;
    assert!(
        problem["detail"].as_str().expect("text").contains("suspended"),
        "{problem}"
    );
}

/// The credential of a service comes from its own section, as a bearer token or in a header of the service's choice.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_service_gets_its_credential() {
    let empty = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    for (header, expected) in [
        (None, "authorization: bearer s3cret\r\n"),
        (Some("X-Api-Key"), "x-api-key: s3cret\r\n"),
    ] {
        let (port, mut requests) = stub_server(empty).await;
        let mut app = TestApp::build()
            .set("partner.url", &format!("http://127.0.0.1:{port}"))
            .set("partner.token", "s3cret");
        if let Some(header) = header {
            app = app.set("partner.token_header", header);
        }
        let app = app.start().await;
        assert_eq!(app.get("/v1/test/upstream").await.status(), 204);
        let request = requests.recv().await.expect("a request").to_lowercase();
        assert!(request.contains(expected), "{request}");
        assert_eq!(request.matches("s3cret").count(), 1, "{request}");
    }
}

/// The attempts of a call must fit into the deadline of a request; the credential must fit into a header.
#[tokio::test(flavor = "multi_thread")]
async fn settings_of_an_upstream_service_that_cannot_work_are_errors() {
    let load = |key: &str, value: &str| {
        let variables = [(key, value), ("APP__DATABASE__URL", "postgres://127.0.0.1/notes")];
        let variables = variables.map(|(key, value)| (key.to_owned(), value.to_owned()));
        SERVICE.load_from(variables).errors
    };
    for (key, value, expected) in [
        (
            "APP__PARTNER__TOKEN_HEADER",
            "X-Key",
            "partner.token_header: needs `token`, the value of the header",
        ),
        (
            "APP__PARTNER__TOKEN",
            "two\nlines",
            "partner.token: contains a character that a header cannot carry",
        ),
    ] {
        let errors: Vec<String> = load(key, value).iter().map(ToString::to_string).collect();
        assert!(errors.contains(&expected.to_owned()), "{errors:?}");
    }
    let environment = ProcessEnvironment::new(env!("CARGO_BIN_EXE_test-service")).await;
    let environment = environment.set("partner.attempt_timeout", "2s");
    for command in ["serve", "check"] {
        let output = environment.run(&[command]);
        // `serve` stops with the error; `check` lists all errors.
        let message = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!output.status.success(), "{command}: {message}");
        assert!(
            message.contains("too short for redis.timeout + retry.max_attempts × partner.attempt_timeout"),
            "{message}"
        );
    }
}
