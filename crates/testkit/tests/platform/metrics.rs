//! Metrics: present from the start, bounded and correct.

use futures_util::{StreamExt, stream};
use reqwest::Method;

use crate::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn every_route_has_counters_at_zero_before_its_first_request() {
    let app = TestApp::start().await;
    let text = app.management("/metrics").await.text().await.expect("text");
    for route in ["/v1/test/notes", "/v1/test/notes/{id}", "/problems", "unmatched"] {
        let line = format!(
            "http_server_responses_total{{http_request_method=\"GET\",http_route=\"{route}\",code_class=\"5xx\"}} 0"
        );
        assert!(text.contains(&line), "{line} in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_problems_and_cache_outcomes_are_counted() {
    let app = TestApp::start().await;
    let path = app.create_note().await;
    app.get(&path).await;
    app.wait_for_cache_writes().await;
    app.get(&path).await;
    app.get("/v1/test/notes/17").await;
    let route = "http_request_method=\"GET\",http_route=\"/v1/test/notes/{id}\"";
    assert_eq!(
        app.metric(&format!(
            "http_server_responses_total{{{route},code_class=\"2xx\"}}"
        ))
        .await,
        2.0
    );
    assert_eq!(
        app.metric(&format!(
            "http_server_problems_total{{{route},problem=\"invalid-path\"}}"
        ))
        .await,
        1.0
    );
    assert_eq!(app.metric("cache_requests_total{outcome=\"miss\"}").await, 1.0);
    assert_eq!(app.metric("cache_requests_total{outcome=\"hit\"}").await, 1.0);
    let labels = format!("{route},http_response_status_code=\"200\",error_type=\"\"");
    assert_eq!(
        app.metric(&format!("http_server_request_duration_seconds_count{{{labels}}}"))
            .await,
        2.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_cannot_add_label_values() {
    let app = TestApp::build()
        .set("rate_limit.anonymous_burst", "1000000")
        .set("rate_limit.anonymous_per_second", "1000000");
    let app = app.start().await;
    let series = async || {
        let text = app.management("/metrics").await.text().await.expect("text");
        text.lines().filter(|line| !line.starts_with('#')).count()
    };
    let before = series().await;
    let requests = stream::iter(0..10_000).map(|n| {
        let method = Method::from_bytes(format!("M{n}").as_bytes()).expect("a token");
        app.anonymous(method, &format!("/{n}?{n}")).send()
    });
    let responses = requests.buffer_unordered(16);
    responses
        .for_each(async |response| assert_eq!(response.expect("a response").status(), 404))
        .await;
    // One histogram and one problem type for all requests, and the series that a scrape itself adds.
    let added = series().await - before;
    assert!(added < 40, "{added}");
    let text = app.management("/metrics").await.text().await.expect("text");
    assert!(text.contains("http_request_method=\"_OTHER\",http_route=\"unmatched\""));
}
