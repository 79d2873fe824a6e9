//! A service that has neither Redis nor jobs.

use std::convert::Infallible;

use http_server::{Json, Operations, operation};
use outcome::{Catalogue, common};
use platform::{Platform, Service};
use serde_json::Value;
use testkit::{Mode, UnderTest};

/// A page.
#[operation(GET "/v1/plain", public)]
async fn plain() -> Result<Json<String>, Infallible> {
    Ok(Json("plain".to_owned()))
}

fn operations(operations: &mut Operations) {
    operations.register::<plain>();
}

fn state(_: &platform::Settings, platform: &Platform) -> anyhow::Result<()> {
    assert!(platform.redis.is_none());
    Ok(())
}

static SERVICE: Service<platform::Settings, ()> =
    Service::builder("0.1.0", Catalogue::new(&[common::ALL]), operations, state).build();

struct Plain;

impl UnderTest for Plain {
    type Settings = platform::Settings;
    type State = ();

    fn service() -> &'static Service<platform::Settings, ()> {
        &SERVICE
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_redis_and_jobs_responds_and_shuts_down() {
    let app = testkit::TestApp::<Plain>::build()
        .set("redis.url", "")
        .set("rate_limit.burst", "2")
        .set("rate_limit.anonymous_burst", "2")
        .set("rate_limit.anonymous_per_second", "1")
        .set("shutdown.deregistration_delay", "0s")
        .start()
        .await;
    for status in [200, 200, 429] {
        assert_eq!(
            app.get("/v1/plain").await.status(),
            status,
            "quotas are counted in this process"
        );
    }
    let dependencies = app.management("/dependencies").await;
    let dependencies: Value = dependencies.json().await.expect("JSON");
    let names: Vec<&String> = dependencies.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["postgres"]);
    let contract = testkit::document::<Plain>();
    assert!(contract["paths"].get("/v1/jobs/{id}").is_none());
    app.app.shutdown().await;
}

/// In a service with jobs, one of the jobs purges the keys.
#[tokio::test(flavor = "multi_thread")]
async fn expired_idempotency_keys_are_purged_without_jobs() {
    let app = testkit::TestApp::<Plain>::build()
        .postgres_unavailable()
        .start()
        .await;
    app.database
        .execute(
            "INSERT INTO idempotency_keys (subject, route, key, fingerprint, status, body, expires_at)
             VALUES ('alice', 'r', 'expired', '', 200, '{}', now()), ('alice', 'r', 'kept', '', 200, '{}', now() + '1 day')",
        )
        .await;
    app.postgres.as_ref().expect("built with a proxy").set(Mode::Pass);
    app.database
        .wait_until("SELECT count(*) FROM idempotency_keys", |keys| keys == 1)
        .await;
}

#[test]
fn a_service_without_jobs_has_no_job_commands() {
    for (names, expected) in [(["serve", "migrate"], true), (["work", "jobs"], false)] {
        for name in names {
            assert_eq!(
                SERVICE.commands().find_subcommand(name).is_some(),
                expected,
                "{name}"
            );
        }
    }
}

#[test]
fn a_setting_that_needs_redis_is_a_configuration_error() {
    let variables = [
        ("APP__DATABASE__URL", "postgres://u:p@localhost/db"),
        ("APP__READINESS__REQUIRE", "redis"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let errors = SERVICE.load_from(variables).errors;
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        ["readiness.require: names redis, which this service does not have"]
    );
}
