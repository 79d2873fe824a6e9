//! Two replicas on one Postgres and one Redis: what one changes, the other sees.

use std::time::{Duration, Instant};

use runtime::RequestContext;
use testkit::Mode;

use crate::{
    TestApp,
    redis_faults::{Nothing, Probe},
};

/// The time for which a replica may serve what another one has changed, if Redis did not learn of the change.
const FRESH: Duration = Duration::from_secs(2);

/// Two replicas, each with its own way to Redis.
async fn replicas() -> (TestApp, TestApp) {
    let replica = || {
        TestApp::build()
            .redis_proxy()
            .set("cache.fresh_ttl", &format!("{}s", FRESH.as_secs()))
            .set("redis.breaker_open_duration", "100ms")
            .set("rate_limit.per_second", "100000")
            .set("rate_limit.burst", "100000")
    };
    let one = replica().start().await;
    let other = replica().replica_of(&one).start().await;
    (one, other)
}

/// Reads a note until it comes from the cache.
async fn cache(app: &TestApp, path: &str) {
    let hits = "cache_requests_total{outcome=\"hit\"}";
    let (before, began) = (app.metric(hits).await, Instant::now());
    while app.metric(hits).await == before {
        assert_eq!(app.get(path).await.status(), 200);
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "the note is not cached"
        );
        app.wait_for_cache_writes().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_through_one_replica_is_visible_through_the_other() {
    let (one, other) = replicas().await;
    for (writer, reader) in [(&one, &other), (&other, &one)] {
        let path = writer.create_note().await;
        cache(reader, &path).await;
        cache(writer, &path).await;
        assert_eq!(writer.delete(&path).await.status(), 204);
        assert_eq!(writer.get(&path).await.status(), 404, "its own change");
        assert_eq!(
            reader.get(&path).await.status(),
            404,
            "the change of the other replica"
        );
    }
}

/// Redis does not learn of the change: the replica that made it sees it, and the other one soon does. Once it does, it does
/// not return to the old value.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_redis_missed_is_hidden_from_the_other_replica_only_for_a_limited_time() {
    let (one, other) = replicas().await;
    for (writer, reader) in [(&one, &other), (&other, &one)] {
        let path = writer.create_note().await;
        cache(reader, &path).await;
        let way_to_redis = writer.redis.as_ref().expect("built with a proxy");
        way_to_redis.set(Mode::Cut);
        let changed = Instant::now();
        assert_eq!(writer.delete(&path).await.status(), 204);
        assert_eq!(writer.get(&path).await.status(), 404, "its own change");
        way_to_redis.set(Mode::Pass);
        let mut seen_after = None;
        while changed.elapsed() < 2 * FRESH {
            let (sent, status) = (changed.elapsed(), reader.get(&path).await.status());
            match seen_after {
                None if status == 404 => seen_after = Some(sent),
                None => assert!(sent <= FRESH, "the old value {sent:?} after the change"),
                Some(seen) => assert_eq!(status, 404, "seen after {seen:?}, and not after {sent:?}"),
            }
            assert_eq!(writer.get(&path).await.status(), 404);
        }
        assert!(seen_after.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_from_one_replica_never_replaces_a_newer_one_from_the_other() {
    let (one, other) = replicas().await;
    let caches = [&one, &other].map(|app| app.app.platform.read_cache::<Probe>().expect("with Redis"));
    let second = Duration::from_secs(1);
    let context = RequestContext::new("test".into(), "test".into(), tracing::Span::none(), second);
    for (round, (newer, older)) in [(0, 1), (1, 0)].into_iter().enumerate() {
        let version = 10 * (i64::try_from(round).expect("small") + 1);
        caches[newer].put(&context, &Probe(version + 1)).await;
        caches[older].put(&context, &Probe(version)).await;
        for cache in &caches {
            let read = cache.read(&context, Nothing).await.expect("no database error");
            assert_eq!(read.expect("a cached value").value.0, version + 1);
        }
    }
}
