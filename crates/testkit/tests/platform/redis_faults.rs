//! Redis down, slow, full or read-only: no request fails, and no cached value outlives a change.

use std::time::{Duration, Instant};

use cache::{Cacheable, Load};
use database::{DatabaseError, Transaction, TransactionError, UnitOfWork};
use futures_util::future::join_all;
use reqwest::Method;
use runtime::RequestContext;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use testkit::{Mode, RedisFault, notes::sample_note};

use crate::{TestApp, TestAppBuilder, assert_problem};

/// Asserts the responses of a healthy service; returns the duration of the slowest one.
async fn assert_serves_normally(app: &TestApp) -> Duration {
    let mut slowest = Duration::ZERO;
    let mut timed = async |request: reqwest::RequestBuilder, status: u16| {
        let sent = Instant::now();
        let response = request.send().await.expect("a response");
        slowest = slowest.max(sent.elapsed());
        assert_eq!(response.status(), status, "{}", response.url());
        response
    };
    let key = uuid::Uuid::new_v4().to_string();
    let written = timed(app.write_request(&key, &sample_note()), 201).await;
    let path = written.headers()["location"].to_str().expect("a path").to_owned();
    for _ in 0..3 {
        timed(app.request(Method::GET, &path), 200).await;
    }
    timed(app.request(Method::GET, "/v1/test/notes"), 200).await;
    timed(app.request(Method::DELETE, &path), 204).await;
    timed(app.request(Method::GET, &path), 404).await;
    slowest
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_redis_fails_no_request_and_the_breaker_closes_by_itself() {
    let app = TestApp::build()
        .redis_proxy()
        .set("redis.breaker_open_duration", "200ms")
        .start()
        .await;
    let proxy = app.redis.as_ref().expect("built with a proxy");
    assert_serves_normally(&app).await;
    proxy.set(Mode::Cut);
    assert_serves_normally(&app).await;
    assert_eq!(
        app.metric("dependency_breaker_state{dependency=\"redis\"}").await,
        2.0
    );
    proxy.set(Mode::Pass);
    let restored = Instant::now();
    while app.metric("dependency_breaker_state{dependency=\"redis\"}").await != 0.0 {
        app.get("/v1/test/notes").await;
        assert!(
            restored.elapsed() < Duration::from_secs(3),
            "the breaker did not close"
        );
    }
    assert_serves_normally(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_redis_costs_one_timeout_per_request_until_the_breaker_opens() {
    let app = TestApp::build()
        .redis_proxy()
        .set("redis.timeout", "1s")
        .set("http.deadline", "6s")
        .set("redis.breaker_open_duration", "30s")
        .start()
        .await;
    assert_serves_normally(&app).await;
    app.redis.as_ref().expect("built with a proxy").set(Mode::Pause);
    // A request calls Redis more than once, but all of its calls share one timeout.
    let slowest = assert_serves_normally(&app).await;
    assert!(slowest < 2 * app.settings.redis.timeout, "{slowest:?}");
    let timeout = "dependency_request_duration_seconds_count{dependency=\"redis\",outcome=\"timeout\"}";
    let timed_out = app.metric(timeout).await;
    assert!(timed_out >= 5.0, "{timed_out}");
    let skipped = "dependency_request_duration_seconds_count{dependency=\"redis\",outcome=\"skipped\"}";
    let before = app.metric(skipped).await;
    assert_serves_normally(&app).await;
    assert!(app.metric(skipped).await > before);
    assert_eq!(
        app.metric(timeout).await,
        timed_out,
        "a skipped call does not wait"
    );
}

/// The response to a committed change must not be 504 because the cache could not be updated in time.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_redis_does_not_make_a_removal_miss_its_deadline() {
    let app = TestApp::build()
        .redis_proxy()
        .set("redis.timeout", "1s")
        .set("http.deadline", "6s")
        .start()
        .await;
    let path = app.create_note().await;
    app.redis.as_ref().expect("built with a proxy").set(Mode::Pause);
    // The quota check uses up the whole Redis timeout; a second wait of that length would miss the deadline.
    let request = app.request(Method::DELETE, &path);
    let response = request.header("x-request-timeout-ms", "1800").send().await;
    assert_eq!(response.expect("a response").status(), 204);
}

/// Allows a burst of 20 requests, then 1 per second.
fn small_quota(app: TestAppBuilder) -> TestAppBuilder {
    app.set("rate_limit.burst", "20")
        .set("rate_limit.per_second", "1")
}

async fn assert_quota_is_enforced(app: &TestApp) {
    let responses = join_all((0..40).map(|_| app.get("/v1/test/notes"))).await;
    let statuses: Vec<u16> = responses
        .iter()
        .map(|response| response.status().as_u16())
        .collect();
    assert!(
        statuses.iter().all(|status| [200, 429].contains(status)),
        "{statuses:?}"
    );
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_out_of_memory_fails_no_request_and_quotas_are_enforced() {
    let app = small_quota(TestApp::build().exclusive_redis()).start().await;
    let fault = RedisFault::out_of_memory(&app.redis_address).await;
    assert_serves_normally(&app).await;
    assert_quota_is_enforced(&app).await;
    let failed = "dependency_request_duration_seconds_count{dependency=\"redis\",outcome=\"error\"}";
    assert!(app.metric(failed).await >= 5.0, "calls to Redis have failed");
    drop(fault);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_redis_fails_no_request_and_quotas_are_enforced() {
    let app = small_quota(TestApp::build().exclusive_redis()).start().await;
    let fault = RedisFault::read_only(&app.redis_address).await;
    assert_serves_normally(&app).await;
    assert_quota_is_enforced(&app).await;
    drop(fault);
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_enforced_while_redis_is_paused() {
    let app = small_quota(TestApp::build().redis_proxy()).start().await;
    app.redis.as_ref().expect("built with a proxy").set(Mode::Pause);
    assert_quota_is_enforced(&app).await;
}

/// A value cached before Redis stopped accepting writes must not outlive a change.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_redis_did_not_accept_is_visible() {
    let app = TestApp::build().exclusive_redis().start().await;
    let path = app.create_note().await;
    app.get(&path).await;
    app.wait_for_cache_writes().await;
    assert_eq!(app.get(&path).await.status(), 200);
    assert_eq!(app.metric("cache_requests_total{outcome=\"hit\"}").await, 1.0);
    let fault = RedisFault::out_of_memory(&app.redis_address).await;
    assert_eq!(app.delete(&path).await.status(), 204);
    assert_eq!(app.get(&path).await.status(), 404);
    drop(fault);
    assert_eq!(app.get(&path).await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_during_an_outage_of_redis_is_visible_after_recovery() {
    let app = TestApp::build()
        .redis_proxy()
        .set("redis.breaker_open_duration", "100ms")
        .start()
        .await;
    let path = app.create_note().await;
    app.get(&path).await;
    app.wait_for_cache_writes().await;
    let proxy = app.redis.as_ref().expect("built with a proxy");
    proxy.set(Mode::Cut);
    assert_eq!(app.delete(&path).await.status(), 204);
    proxy.set(Mode::Pass);
    let calls = "dependency_request_duration_seconds_count{dependency=\"redis\",outcome=\"ok\"}";
    let before = app.metric(calls).await;
    while app.metric(calls).await < before + 4.0 {
        assert_eq!(app.get(&path).await.status(), 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_value_with_its_age_is_served_while_the_database_is_unavailable() {
    let app = TestApp::build()
        .postgres_proxy()
        .set("cache.fresh_ttl", "0s")
        .start()
        .await;
    let path = app.create_note().await;
    assert!(!app.get(&path).await.headers().contains_key("age"));
    app.wait_for_cache_writes().await;
    app.postgres.as_ref().expect("built with a proxy").set(Mode::Cut);
    let stale = app.get(&path).await;
    assert_eq!(stale.status(), 200);
    assert!(
        stale.headers()["age"]
            .to_str()
            .expect("ASCII")
            .parse::<u64>()
            .expect("seconds")
            < 10
    );
    let note: Value = stale.json().await.expect("JSON");
    assert_eq!(note["removed"], false);
    assert_eq!(app.metric("cache_requests_total{outcome=\"stale\"}").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_misses_of_one_note_cause_one_load() {
    let app = TestApp::build().postgres_proxy().redis_proxy().start().await;
    let path = app.create_note().await;
    app.redis.as_ref().expect("built with a proxy").set(Mode::Cut);
    app.get(&path).await;
    let proxy = app.postgres.as_ref().expect("built with a proxy");
    proxy.set(Mode::Delay(Duration::from_millis(100)));
    let before = proxy.round_trips();
    let responses = join_all((0..50).map(|_| app.get(&path))).await;
    assert!(responses.iter().all(|response| response.status() == 200));
    let trips = proxy.round_trips() - before;
    assert!(trips <= 3, "{trips} round trips for 50 requests");
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Probe(pub(crate) i64);

impl Cacheable for Probe {
    const KIND: &'static str = "probe";
    type Id = i64;

    fn id(&self) -> i64 {
        1
    }

    fn version(&self) -> i64 {
        self.0
    }
}

/// A load that finds nothing, so that a value can only come from the cache.
pub(crate) struct Nothing;

impl UnitOfWork for Nothing {
    const NAME: &'static str = "nothing";
    type Output = Option<Probe>;
    type Refusal = DatabaseError;

    async fn run(&self, _: &mut Transaction<'_>) -> Result<Option<Probe>, TransactionError<DatabaseError>> {
        Ok(None)
    }
}

impl Load for Nothing {
    type Value = Probe;

    fn id(&self) -> i64 {
        1
    }
}

/// A slow reader may store the value it read after another request has stored a newer version.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_never_replaces_a_newer_one() {
    let app = TestApp::start().await;
    let cache = app
        .app
        .platform
        .read_cache::<Probe>()
        .expect("the service has Redis");
    let second = Duration::from_secs(1);
    let context = RequestContext::new("test".into(), "test".into(), tracing::Span::none(), second);
    for version in [2, 1] {
        cache.put(&context, &Probe(version)).await;
    }
    let read = cache.read(&context, Nothing).await.expect("no database error");
    assert_eq!(read.expect("a cached value").value.0, 2);
}

/// A request with a short deadline gives up on Redis, but that does not count as a failure of Redis.
#[tokio::test(flavor = "multi_thread")]
async fn short_deadlines_do_not_open_the_breaker() {
    let app = TestApp::build()
        .redis_proxy()
        .set("redis.timeout", "2s")
        .set("http.deadline", "6s")
        .start()
        .await;
    let path = app.create_note().await;
    app.get(&path).await;
    let proxy = app.redis.as_ref().expect("built with a proxy");
    // Longer than the deadline of the requests, and far below `redis.timeout`.
    proxy.set(Mode::Delay(Duration::from_millis(150)));
    let request = |_| {
        app.request(Method::GET, &path)
            .header("x-request-timeout-ms", "100")
            .send()
    };
    join_all((0..8).map(request)).await;
    proxy.set(Mode::Pass);
    let late = "dependency_request_duration_seconds_count{dependency=\"redis\",outcome=\"timeout\"}";
    assert!(app.metric(late).await >= 5.0, "calls to Redis have timed out");
    let state = "dependency_breaker_state{dependency=\"redis\"}";
    assert_eq!(app.metric(state).await, 0.0);
}

/// After a response with an unknown outcome, a read must not return the cached value from before the change.
#[tokio::test(flavor = "multi_thread")]
async fn after_an_unknown_outcome_the_cache_is_not_trusted() {
    let app = TestApp::build().postgres_proxy().start().await;
    let path = app.create_note().await;
    app.get(&path).await;
    app.wait_for_cache_writes().await;
    let commit_lock = app.database.block_commits().await;
    let removing = tokio::spawn(app.request(Method::DELETE, &path).send());
    app.database.wait_for_lock_waiter().await;
    let proxy = app.postgres.as_ref().expect("built with a proxy");
    proxy.set(Mode::Cut);
    let response = removing.await.expect("no panic").expect("a response");
    let problem = assert_problem(
        response,
        "/v1/test/notes/{id}",
        Method::DELETE,
        "dependency-unavailable",
    )
    .await;
    assert_eq!(problem["outcome"], "unknown");
    commit_lock.release().await;
    let removed = "SELECT count(*) FROM test_notes WHERE removed";
    app.database.wait_until(removed, |removed| removed == 1).await;
    proxy.set(Mode::Pass);
    assert_eq!(app.get(&path).await.status(), 404);
}

/// Connecting takes several round trips. If each attempt ended with its request, no connection would ever be opened.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_slow_to_connect_to_is_used_nevertheless() {
    let app = TestApp::build()
        .redis_proxy()
        .set("rate_limit.burst", "100000")
        .start()
        .await;
    // A round trip takes 60 ms. Opening a connection and the first call do not fit into `redis.timeout` together.
    let proxy = app.redis.as_ref().expect("built with a proxy");
    proxy.set(Mode::Delay(Duration::from_millis(30)));
    let ok = "dependency_request_duration_seconds_count{dependency=\"redis\",outcome=\"ok\"}";
    let started = Instant::now();
    while app.metric(ok).await < 5.0 {
        assert!(started.elapsed() < Duration::from_secs(20), "Redis is never used");
        assert_eq!(app.get("/v1/test/notes").await.status(), 200);
    }
}

/// A request's quota check leaves little of its time for Redis; that the next call is cut short says nothing about Redis.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_the_time_for_redis_is_not_held_against_it() {
    let app = TestApp::build()
        .redis_proxy()
        .set("redis.timeout", "1s")
        .set("http.deadline", "6s")
        .start()
        .await;
    let path = app.create_note().await;
    app.get(&path).await;
    app.wait_for_cache_writes().await;
    let proxy = app.redis.as_ref().expect("built with a proxy");
    // Two calls of 600 ms do not fit into a second.
    proxy.set(Mode::Delay(Duration::from_millis(300)));
    for _ in 0..6 {
        assert_eq!(app.get(&path).await.status(), 200);
    }
    let state = "dependency_breaker_state{dependency=\"redis\"}";
    assert_eq!(app.metric(state).await, 0.0);
}
