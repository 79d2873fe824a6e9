//! The rules of a service's configuration, each broken once.

use management::Requirement;
use outcome::Catalogue;
use settings::{Loaded, load_from};

use crate::{Service, Settings};

const URLS: [(&str, &str); 2] = [
    ("APP__DATABASE__URL", "postgres://u:p@localhost/db"),
    ("APP__REDIS__URL", "redis://localhost"),
];

fn load_with(variables: &[(&str, &str)]) -> Loaded<Settings> {
    let all = URLS
        .iter()
        .chain(variables)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load_from("[service]\nname = \"shop\"", "/nonexistent".as_ref(), all)
}

fn faulty_keys(variables: &[(&str, &str)]) -> Vec<String> {
    load_with(variables)
        .errors
        .into_iter()
        .map(|fault| fault.key)
        .collect()
}

#[test]
fn the_defaults_are_valid_and_default_toml_is_a_layer() {
    let loaded = load_with(&[]);
    assert_eq!(loaded.errors, []);
    assert_eq!(loaded.settings.service.name, "shop");
    assert_eq!(loaded.settings.http.port, 8080);
}

#[test]
fn the_environment_wins_over_the_files() {
    let loaded = load_with(&[
        ("APP__SERVICE__NAME", "other"),
        ("APP__READINESS__REQUIRE", "postgres, redis"),
    ]);
    assert_eq!(loaded.settings.service.name, "other");
    assert_eq!(
        loaded.settings.readiness.require,
        [Requirement::Postgres, Requirement::Redis]
    );
}

#[test]
fn all_faults_are_listed_at_once_each_with_its_key() {
    let variables = [
        ("APP__HTTP__PORT", "80800"),
        ("APP__HTTP__DEADLINE", "fast"),
        ("APP__HTTP__PROT", "1"),
        ("APP__SPEED__LIMIT", "1"),
        ("APP__LOG__FORMAT", "xml"),
    ];
    assert_eq!(
        faulty_keys(&variables),
        [
            "http.port",
            "http.deadline",
            "log.format",
            "http.prot",
            "speed.limit"
        ]
    );
}

#[test]
fn rules_between_keys_are_checked_together() {
    let variables = [
        ("APP__SERVICE__NAME", "Shop!"),
        ("APP__DATABASE__URL", "mysql://localhost"),
        ("APP__REDIS__URL", "mysql://localhost"),
        ("APP__DATABASE__POOL_SIZE", "0"),
        ("APP__HTTP__CLIENT_TIMEOUT", "1s"),
        ("APP__HTTP__DEADLINE", "1s"),
        ("APP__SHUTDOWN__GRACE", "20s"),
        ("APP__RETRY__BUDGET", "1.5"),
        ("APP__TELEMETRY__SAMPLE_RATIO", "-0.1"),
    ];
    // Ranges first, in the order of the keys; then the rules of each section, and those between them.
    let expected = [
        "database.pool_size",
        "retry.budget",
        "telemetry.sample_ratio",
        "service.name",
        "http.client_timeout",
        "database.url",
        "redis.url",
        "shutdown.grace",
        "http.deadline",
        "http.deadline",
    ];
    assert_eq!(faulty_keys(&variables), expected);
}

#[test]
fn the_development_secret_is_refused_elsewhere_and_no_message_repeats_a_secret() {
    let loaded = load_with(&[("APP__SERVICE__ENVIRONMENT", "production")]);
    assert_eq!(loaded.errors[0].key, "auth.secret");
    let drill = [
        ("APP__SERVICE__ENVIRONMENT", "production"),
        ("APP__FAULTS__ENABLED", "true"),
    ];
    assert_eq!(faulty_keys(&drill), ["auth.secret", "faults.enabled"]);
    for fault in [r#"{"kind": "crash"}"#, r#"{"kind": "flu"}"#] {
        assert_eq!(faulty_keys(&[("APP__FAULTS__START", fault)]), ["faults.start"]);
    }
    let message = load_with(&[("APP__AUTH__SECRET", "hunter2")])
        .valid()
        .expect_err("too short")
        .to_string();
    assert!(
        message.contains("auth.secret") && !message.contains("hunter2"),
        "{message}"
    );
}

#[test]
fn a_service_with_redis_needs_its_address() {
    static SERVICE: Service<Settings, ()> = Service::builder(
        "0.1.0",
        Catalogue::new(&[outcome::common::ALL]),
        |_| {},
        |_, _| Ok(()),
    )
    .redis()
    .build();
    let variables = [("APP__DATABASE__URL".to_owned(), URLS[0].1.to_owned())];
    let errors = SERVICE.load_from(variables).errors;
    assert!(
        errors.len() == 1 && errors[0].to_string().starts_with("redis.url: is not set"),
        "{errors:?}"
    );
}

#[test]
fn a_public_key_that_is_none_is_a_fault() {
    assert_eq!(
        faulty_keys(&[
            ("APP__AUTH__ALGORITHM", "ES256"),
            ("APP__AUTH__PUBLIC_KEY", "nonsense")
        ]),
        ["auth.public_key"]
    );
}

#[test]
fn limits_that_postgres_or_redis_would_take_for_something_else_are_faults() {
    let variables = [
        ("APP__JOBS__STATEMENT_TIMEOUT", "0s"),
        ("APP__CACHE__FRESH", "0s"),
        ("APP__CACHE__STALE", "0s"),
        ("APP__CACHE__LAST_KNOWN", "0s"),
        ("APP__DATABASE__IDLE_IN_TRANSACTION_TIMEOUT", "30days"),
    ];
    assert_eq!(
        faulty_keys(&variables),
        [
            "database.idle_in_transaction_timeout",
            "jobs.statement_timeout",
            "cache.stale",
            "cache.last_known",
        ]
    );
    let endpoint = [("APP__TELEMETRY__ENDPOINT", "https://gate.example/?key=1")];
    assert_eq!(faulty_keys(&endpoint), ["telemetry.endpoint"]);
}
