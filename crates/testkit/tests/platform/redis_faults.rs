//! Redis holds nothing that cannot be lost.

use std::time::{Duration, Instant};

use cache::{Cacheable, Load};
use database::{Fault, Transaction, TransactionError, UnitOfWork};
use futures_util::future::join_all;
use reqwest::Method;
use runtime::RequestContext;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use testkit::{Mode, RedisFault, notes::note};

use crate::{TestApp, TestAppBuilder, assert_problem};

/// The answers of a healthy service, and how long the slowest took.
async fn serves_as_ever(app: &TestApp) -> Duration {
    let mut slowest = Duration::ZERO;
    let mut timed = async |request: reqwest::RequestBuilder, status: u16| {
        let asked = Instant::now();
        let response = request.send().await.expect("an answer");
        slowest = slowest.max(asked.elapsed());
        assert_eq!(response.status(), status, "{}", response.url());
        response
    };
    let key = uuid::Uuid::new_v4().to_string();
    let placed = timed(app.write_request(&key, &note()), 201).await;
    let path = placed.headers()["location"].to_str().expect("a path").to_owned();
    for _ in 0..3 {
        timed(app.request(Method::GET, &path), 200).await;
    }
    timed(app.request(Method::GET, "/v1/test/notes"), 200).await;
    timed(app.request(Method::DELETE, &path), 204).await;
    timed(app.request(Method::GET, &path), 404).await;
    slowest
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_it_costs_no_answer_and_comes_back_by_itself() {
    let app = TestApp::build()
        .redis_proxy()
        .set("redis.breaker_open", "200ms")
        .start()
        .await;
    let proxy = app.redis.as_ref().expect("asked for");
    serves_as_ever(&app).await;
    proxy.set(Mode::Cut);
    serves_as_ever(&app).await;
    assert_eq!(
        app.metric("dependency_breaker_state{dependency=\"redis\"}").await,
        2.0
    );
    proxy.set(Mode::Pass);
    let back = Instant::now();
    while app.metric("dependency_breaker_state{dependency=\"redis\"}").await != 0.0 {
        app.get("/v1/test/notes").await;
        assert!(
            back.elapsed() < Duration::from_secs(3),
            "the breaker did not close"
        );
    }
    serves_as_ever(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_it_costs_a_request_its_allowance_and_then_nothing() {
    let app = TestApp::build()
        .redis_proxy()
        .set("redis.timeout", "1s")
        .set("redis.breaker_open", "30s")
        .start()
        .await;
    serves_as_ever(&app).await;
    app.redis.as_ref().expect("asked for").set(Mode::Pause);
    // A request asks Redis more than once, and all that waits for the allowance once.
    let slowest = serves_as_ever(&app).await;
    assert!(slowest < 2 * app.settings.redis.timeout, "{slowest:?}");
    let timeout = "dependency_request_duration_seconds_count{dependency=\"redis\",outcome=\"timeout\"}";
    let timed_out = app.metric(timeout).await;
    assert!(timed_out >= 5.0, "{timed_out}");
    let skipped = "dependency_request_duration_seconds_count{dependency=\"redis\",outcome=\"skipped\"}";
    let before = app.metric(skipped).await;
    serves_as_ever(&app).await;
    assert!(app.metric(skipped).await > before);
    assert_eq!(app.metric(timeout).await, timed_out, "skipped without a wait");
}

/// A committed change is not answered with 504 because the cache did not hear of it in time.
#[tokio::test(flavor = "multi_thread")]
async fn paused_it_does_not_make_a_removal_late() {
    let app = TestApp::build()
        .redis_proxy()
        .set("redis.timeout", "1s")
        .start()
        .await;
    let path = app.written().await;
    app.redis.as_ref().expect("asked for").set(Mode::Pause);
    // The quota takes what Redis may take; a second time as long would be too late.
    let request = app.request(Method::DELETE, &path);
    let response = request.header("x-request-timeout-ms", "1800").send().await;
    assert_eq!(response.expect("an answer").status(), 204);
}

/// Twenty at once, then next to nothing.
fn small_quota(app: TestAppBuilder) -> TestAppBuilder {
    app.set("rate_limit.burst", "20")
        .set("rate_limit.per_second", "1")
}

async fn the_quota_still_holds(app: &TestApp) {
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
async fn out_of_memory_it_costs_no_answer_and_the_quota_still_holds() {
    let app = small_quota(TestApp::build().faulty_redis()).start().await;
    let fault = RedisFault::out_of_memory(&app.redis_address).await;
    serves_as_ever(&app).await;
    the_quota_still_holds(&app).await;
    let failed = "dependency_request_duration_seconds_count{dependency=\"redis\",outcome=\"error\"}";
    assert!(app.metric(failed).await >= 5.0, "the fault has struck");
    drop(fault);
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_it_costs_no_answer_and_the_quota_still_holds() {
    let app = small_quota(TestApp::build().faulty_redis()).start().await;
    let fault = RedisFault::read_only(&app.redis_address).await;
    serves_as_ever(&app).await;
    the_quota_still_holds(&app).await;
    drop(fault);
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_the_quota_still_holds() {
    let app = small_quota(TestApp::build().redis_proxy()).start().await;
    app.redis.as_ref().expect("asked for").set(Mode::Pause);
    the_quota_still_holds(&app).await;
}

/// What was cached before Redis stopped taking changes must not outlive a change.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_redis_did_not_hear_of_is_seen_all_the_same() {
    let app = TestApp::build().faulty_redis().start().await;
    let path = app.written().await;
    app.get(&path).await;
    app.redis_has_entries().await;
    assert_eq!(app.get(&path).await.status(), 200);
    assert_eq!(app.metric("cache_requests_total{outcome=\"hit\"}").await, 1.0);
    let fault = RedisFault::out_of_memory(&app.redis_address).await;
    assert_eq!(app.delete(&path).await.status(), 204);
    assert_eq!(app.get(&path).await.status(), 404);
    drop(fault);
    assert_eq!(app.get(&path).await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_while_redis_was_away_is_seen_when_it_is_back() {
    let app = TestApp::build()
        .redis_proxy()
        .set("redis.breaker_open", "100ms")
        .start()
        .await;
    let path = app.written().await;
    app.get(&path).await;
    app.redis_has_entries().await;
    let proxy = app.redis.as_ref().expect("asked for");
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
async fn a_stale_value_stands_in_for_a_database_that_is_away_and_says_its_age() {
    let app = TestApp::build()
        .postgres_proxy()
        .set("cache.fresh", "0s")
        .start()
        .await;
    let path = app.written().await;
    assert!(!app.get(&path).await.headers().contains_key("age"));
    app.redis_has_entries().await;
    app.postgres.as_ref().expect("asked for").set(Mode::Cut);
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
async fn many_misses_on_one_note_are_one_load() {
    let app = TestApp::build().postgres_proxy().redis_proxy().start().await;
    let path = app.written().await;
    app.redis.as_ref().expect("asked for").set(Mode::Cut);
    app.get(&path).await;
    let proxy = app.postgres.as_ref().expect("asked for");
    proxy.set(Mode::Delay(Duration::from_millis(100)));
    let before = proxy.round_trips();
    let responses = join_all((0..50).map(|_| app.get(&path))).await;
    assert!(responses.iter().all(|response| response.status() == 200));
    let trips = proxy.round_trips() - before;
    assert!(trips <= 3, "{trips} round trips for 50 requests");
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Probe(i64);

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

/// What the database has when only the cache is asked.
struct Nothing;

impl UnitOfWork for Nothing {
    const NAME: &'static str = "nothing";
    type Output = Option<Probe>;
    type Refusal = Fault;

    async fn run(&self, _: &mut Transaction<'_>) -> Result<Option<Probe>, TransactionError<Fault>> {
        Ok(None)
    }
}

impl Load for Nothing {
    type Value = Probe;

    fn id(&self) -> i64 {
        1
    }
}

/// A reader that saw the value before it was changed may store what it saw only afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_never_replaces_a_newer_one() {
    let app = TestApp::start().await;
    let cache = app.app.platform.read_cache::<Probe>().expect("it has Redis");
    let second = Duration::from_secs(1);
    let context = RequestContext::new("test".into(), "test".into(), tracing::Span::none(), second);
    for version in [2, 1] {
        cache.put(&context, &Probe(version)).await;
    }
    let read = cache.read(&context, Nothing).await.expect("Redis answers");
    assert_eq!(read.expect("it is there").value.0, 2);
}

/// A caller in a hurry goes without Redis, but its hurry is not held against Redis.
#[tokio::test(flavor = "multi_thread")]
async fn short_deadlines_do_not_open_the_breaker() {
    let app = TestApp::build()
        .redis_proxy()
        .set("redis.timeout", "2s")
        .start()
        .await;
    let path = app.written().await;
    app.get(&path).await;
    let proxy = app.redis.as_ref().expect("asked for");
    // Longer than they wait, and well within what Redis may take.
    proxy.set(Mode::Delay(Duration::from_millis(150)));
    let hurried = |_| {
        app.request(Method::GET, &path)
            .header("x-request-timeout-ms", "100")
            .send()
    };
    join_all((0..8).map(hurried)).await;
    proxy.set(Mode::Pass);
    let late = "dependency_request_duration_seconds_count{dependency=\"redis\",outcome=\"timeout\"}";
    assert!(app.metric(late).await >= 5.0, "they were in a hurry");
    let state = "dependency_breaker_state{dependency=\"redis\"}";
    assert_eq!(app.metric(state).await, 0.0);
}

/// When the answer says that nobody knows, a look at the order must not say what was before.
#[tokio::test(flavor = "multi_thread")]
async fn after_an_unknown_outcome_the_cache_is_not_believed() {
    let app = TestApp::build().postgres_proxy().start().await;
    let path = app.written().await;
    app.get(&path).await;
    app.redis_has_entries().await;
    let line = app.database.hold_commits().await;
    let removing = tokio::spawn(app.request(Method::DELETE, &path).send());
    app.database.wait_for_lock_waiter().await;
    let proxy = app.postgres.as_ref().expect("asked for");
    proxy.set(Mode::Cut);
    let response = removing.await.expect("no panic").expect("an answer");
    let problem = assert_problem(
        response,
        "/v1/test/notes/{id}",
        Method::DELETE,
        "dependency-unavailable",
    )
    .await;
    assert_eq!(problem["outcome"], "unknown");
    line.release().await;
    let removed = "SELECT count(*) FROM test_notes WHERE removed";
    app.database.wait_until(removed, |removed| removed == 1).await;
    proxy.set(Mode::Pass);
    assert_eq!(app.get(&path).await.status(), 404);
}
