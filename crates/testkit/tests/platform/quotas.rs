//! Quotas, and the response headers that report them.

use std::time::Instant;

use futures_util::future::join_all;
use reqwest::Method;
use testkit::log_lines_of;

use crate::{TestApp, TestAppBuilder, assert_problem};

/// An app that allows a burst of 20 requests, then 1 per second.
fn small_quota() -> TestAppBuilder {
    TestApp::build()
        .set("rate_limit.burst", "20")
        .set("rate_limit.per_second", "1")
        // Long enough for a busy machine: a request that Redis does not count is charged to the process's own quota.
        .set("redis.timeout", "2s")
        .set("http.deadline", "6s")
}

async fn count_allowed(app: &TestApp, requests: usize) -> usize {
    let responses = join_all((0..requests).map(|_| app.get("/v1/test/notes"))).await;
    responses
        .iter()
        .filter(|response| response.status() == 200)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_burst_is_allowed_and_the_rest_is_429() {
    let app = small_quota().start().await;
    let allowed = count_allowed(&app, 40).await;
    assert!((20..=22).contains(&allowed), "{allowed}");
    let refused = app.get("/v1/test/notes").await;
    assert_eq!(refused.headers()["ratelimit-policy"], "\"default\";q=20;w=20");
    assert!(
        refused.headers()["ratelimit"]
            .to_str()
            .expect("ASCII")
            .starts_with("\"default\";r=0;t=")
    );
    assert_problem(refused, "/v1/test/notes", Method::GET, "quota-exceeded").await;
    let bob = app
        .request_as("bob", Method::GET, "/v1/test/notes")
        .send()
        .await
        .expect("a response");
    assert_eq!(bob.status(), 200, "another subject has a quota of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_remaining_quota_is_reported_before_it_is_exhausted() {
    let app = small_quota().start().await;
    let first = app.get("/v1/test/notes").await;
    assert_eq!(first.headers()["ratelimit"], "\"default\";r=19;t=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_each_process_allows_its_share() {
    let app = small_quota()
        .set("rate_limit.fallback_ratio", "0.5")
        .redis_proxy()
        .start()
        .await;
    app.redis
        .as_ref()
        .expect("built with a proxy")
        .set(testkit::Mode::Cut);
    let allowed = count_allowed(&app, 40).await;
    assert!((10..=12).contains(&allowed), "{allowed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_token_is_always_401_and_the_quota_of_its_address_limits_the_log() {
    let app = TestApp::build()
        .set("rate_limit.anonymous_burst", "5")
        .set("rate_limit.anonymous_per_second", "1")
        .start()
        .await;
    let guess = || {
        app.anonymous(Method::GET, "/v1/test/notes")
            .bearer_auth("guessed")
            .send()
    };
    let started = Instant::now();
    let mut ids = Vec::new();
    for _ in 0..20 {
        let response = guess().await.expect("a response");
        let problem = assert_problem(response, "/v1/test/notes", Method::GET, "unauthenticated").await;
        ids.push(problem["trace_id"].as_str().expect("an id").to_owned());
    }
    let logged = ids.iter().filter(|id| !log_lines_of(id).is_empty()).count();
    let allowed = 6 + usize::try_from(started.elapsed().as_secs()).expect("seconds");
    assert!((5..=allowed).contains(&logged), "{logged} of 20 are logged");
    let rejected = "http_server_problems_total{http_request_method=\"GET\",http_route=\"/v1/test/notes\",problem=\"unauthenticated\"}";
    assert_eq!(app.metric(rejected).await, 20.0);
    // Routes without a token have no other limit than that of the address.
    let public = join_all((0..10).map(|_| app.anonymous(Method::GET, "/info").send())).await;
    let mut refused = public.into_iter().map(|response| response.expect("a response"));
    let refused = refused.find(|response| response.status() == 429);
    let refused = refused.expect("one of ten exceeds the quota");
    assert_problem(refused, "/info", Method::GET, "quota-exceeded").await;
    assert_eq!(
        app.get("/v1/test/notes").await.status(),
        200,
        "a valid token at the same address is not affected"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_services_on_one_redis_do_not_share_quotas() {
    let (one, other) = (small_quota().start().await, small_quota().start().await);
    count_allowed(&one, 30).await;
    assert_eq!(other.get("/v1/test/notes").await.status(), 200);
}
