//! Each rule of a service's configuration, violated once.

use management::Requirement;
use outcome::Catalogue;
use runtime::Tls;
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

fn invalid_keys(variables: &[(&str, &str)]) -> Vec<String> {
    load_with(variables)
        .errors
        .into_iter()
        .map(|error| error.key)
        .collect()
}

#[test]
fn the_defaults_are_valid_and_default_toml_overrides_them() {
    let loaded = load_with(&[]);
    assert_eq!(loaded.errors, []);
    assert_eq!(loaded.settings.service.name, "shop");
    assert_eq!(loaded.settings.http.port, 8080);
}

#[test]
fn environment_variables_override_the_files() {
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
fn all_errors_are_listed_in_one_run_each_with_its_key() {
    let variables = [
        ("APP__HTTP__PORT", "80800"),
        ("APP__HTTP__DEADLINE", "fast"),
        ("APP__HTTP__PROT", "1"),
        ("APP__SPEED__LIMIT", "1"),
        ("APP__LOG__FORMAT", "xml"),
    ];
    assert_eq!(
        invalid_keys(&variables),
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
fn ranges_and_rules_between_keys_are_checked_in_one_run() {
    let variables = [
        ("APP__SERVICE__NAME", "Shop!"),
        ("APP__DATABASE__URL", "mysql://localhost"),
        ("APP__REDIS__URL", "mysql://localhost"),
        ("APP__DATABASE__POOL_SIZE", "0"),
        ("APP__HTTP__CLIENT_TIMEOUT", "1s"),
        ("APP__HTTP__DEADLINE", "1s"),
        ("APP__SHUTDOWN__GRACE_PERIOD", "20s"),
        ("APP__RETRY__BUDGET_RATIO", "1.5"),
        ("APP__TELEMETRY__SAMPLE_RATIO", "-0.1"),
    ];
    // Ranges first, in the order of the keys; then the rules of each section, and those between them.
    let expected = [
        "database.pool_size",
        "retry.budget_ratio",
        "telemetry.sample_ratio",
        "service.name",
        "http.client_timeout",
        "http.client_timeout",
        "database.url",
        "redis.url",
        "shutdown.grace_period",
        "http.deadline",
    ];
    assert_eq!(invalid_keys(&variables), expected);
}

#[test]
fn development_settings_are_rejected_in_production_and_no_message_contains_a_secret() {
    let loaded = load_with(&[("APP__SERVICE__ENVIRONMENT", "production")]);
    assert_eq!(loaded.errors[0].key, "auth.secret");
    let fault_injection = [
        ("APP__SERVICE__ENVIRONMENT", "production"),
        ("APP__FAULTS__ENABLED", "true"),
    ];
    let expected = [
        "auth.secret",
        "auth.hash_key",
        "auth.issuer",
        "auth.audience",
        "http.trusted_proxies",
        "faults.enabled",
    ];
    assert_eq!(invalid_keys(&fault_injection), expected);
    for fault in [r#"{"kind": "crash"}"#, r#"{"kind": "flu"}"#] {
        assert_eq!(
            invalid_keys(&[("APP__FAULTS__AT_STARTUP", fault)]),
            ["faults.at_startup"]
        );
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
fn connections_are_verified_unless_the_settings_say_otherwise() {
    for (environment, expected) in [
        ("production", Tls::Verify),
        ("staging", Tls::Verify),
        ("development", Tls::Off),
    ] {
        let settings = load_with(&[("APP__SERVICE__ENVIRONMENT", environment)]).settings;
        assert_eq!(settings.database.encryption.tls, expected, "{environment}");
        assert_eq!(settings.redis.encryption.tls, expected, "{environment}");
    }
    let url = "postgres://app:hunter2@localhost/app?sslmode=disable";
    let of_another_format = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for (variables, key) in [
        (
            [("APP__DATABASE__TLS", "verify"), ("APP__DATABASE__URL", url)],
            "database.url",
        ),
        (
            [
                ("APP__DATABASE__TLS", "verify"),
                ("APP__DATABASE__DIRECT_URL", url),
            ],
            "database.direct_url",
        ),
        (
            [
                ("APP__DATABASE__TLS", "require"),
                ("APP__DATABASE__ROOT_CERTIFICATE", ""),
            ],
            "",
        ),
        (
            [
                ("APP__DATABASE__TLS", "verify"),
                ("APP__DATABASE__ROOT_CERTIFICATE", "/missing.pem"),
            ],
            "database.root_certificate",
        ),
        (
            [
                ("APP__DATABASE__TLS", "verify"),
                ("APP__DATABASE__ROOT_CERTIFICATE", of_another_format),
            ],
            "database.root_certificate",
        ),
        (
            [
                ("APP__REDIS__TLS", "off"),
                ("APP__REDIS__URL", "rediss://localhost"),
            ],
            "redis.url",
        ),
        (
            [
                ("APP__REDIS__TLS", "verify"),
                ("APP__REDIS__URL", "rediss://localhost/#insecure"),
            ],
            "redis.url",
        ),
        (
            [
                ("APP__REDIS__TLS", "maybe"),
                ("APP__REDIS__URL", "redis://localhost"),
            ],
            "redis.tls",
        ),
    ] {
        let found = invalid_keys(&variables);
        let expected: Vec<&str> = Some(key).filter(|key| !key.is_empty()).into_iter().collect();
        assert_eq!(found, expected, "{variables:?}");
    }
}

#[test]
fn a_value_that_breaks_a_promise_is_an_error() {
    for (variables, key) in [
        (
            [
                ("APP__CACHE__MAX_CONCURRENT_LOADS", "16"),
                ("APP__DATABASE__POOL_SIZE", "16"),
            ],
            "cache.max_concurrent_loads",
        ),
        (
            [
                ("APP__HTTP__MAX_CONNECTIONS", "100"),
                ("APP__HTTP__MAX_IN_FLIGHT", "256"),
            ],
            "http.max_connections",
        ),
        (
            [("APP__REDIS__TIMEOUT", "200ms"), ("APP__HTTP__DEADLINE", "3s")],
            "http.deadline",
        ),
        (
            [
                ("APP__RATE_LIMIT__PER_SECOND", "1000001"),
                ("APP__RATE_LIMIT__BURST", "1"),
            ],
            "rate_limit.per_second",
        ),
        (
            [
                ("APP__HTTP__MAX_HEAD_BYTES", "131072"),
                ("APP__HTTP__WORKERS", "1"),
            ],
            "http.max_head_bytes",
        ),
        (
            [
                ("APP__HTTP__PORT", "9000"),
                ("APP__HTTP__MANAGEMENT_PORT", "9000"),
            ],
            "http.management_port",
        ),
        (
            [
                ("APP__HTTP__KEEP_ALIVE", "60s"),
                ("APP__HTTP__INGRESS_IDLE_TIMEOUT", "60s"),
            ],
            "http.keep_alive",
        ),
        (
            [
                ("APP__HTTP__BODY_TIMEOUT", "15s"),
                ("APP__HTTP__CLIENT_TIMEOUT", "30s"),
            ],
            "shutdown.drain_timeout",
        ),
        (
            [
                ("APP__SHUTDOWN__GRACE_PERIOD", "32s"),
                ("APP__SHUTDOWN__FLUSH_TIMEOUT", "5s"),
            ],
            "shutdown.grace_period",
        ),
        (
            [
                ("APP__AUTH__JWKS_URL", "https://user:hunter2@idp.test/"),
                ("APP__AUTH__ALGORITHM", "RS256"),
            ],
            "auth.jwks_url",
        ),
        (
            [
                ("APP__HTTP__CORS_ALLOWED_ORIGINS", "https://a.example/"),
                ("APP__HTTP__WORKERS", "1"),
            ],
            "http.cors_allowed_origins",
        ),
        ([("APP_HTTP__PORT", "9000"), ("PATH", "/bin")], "APP_HTTP__PORT"),
        (
            [("APP__APP__HTTP__PORT", "9000"), ("APP_SERVICE_HOST", "10.0.0.1")],
            "APP__APP__HTTP__PORT",
        ),
    ] {
        let loaded = load_with(&variables);
        assert!(
            loaded.errors.iter().any(|error| error.key == key),
            "{variables:?}: {:?}",
            loaded.errors
        );
        assert!(!format!("{:?}", loaded.errors).contains("hunter2"));
    }
}

#[test]
fn a_service_with_redis_needs_its_url() {
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
fn a_malformed_public_key_is_an_error() {
    assert_eq!(
        invalid_keys(&[
            ("APP__AUTH__ALGORITHM", "ES256"),
            ("APP__AUTH__PUBLIC_KEY", "nonsense")
        ]),
        ["auth.public_key"]
    );
}

#[test]
fn limits_that_postgres_or_redis_would_misinterpret_are_errors() {
    let variables = [
        ("APP__JOBS__STATEMENT_TIMEOUT", "0s"),
        ("APP__CACHE__FRESH_TTL", "0s"),
        ("APP__CACHE__MAX_STALE", "0s"),
        ("APP__CACHE__FALLBACK_TTL", "0s"),
        ("APP__DATABASE__IDLE_IN_TRANSACTION_TIMEOUT", "30days"),
    ];
    assert_eq!(
        invalid_keys(&variables),
        [
            "database.idle_in_transaction_timeout",
            "jobs.statement_timeout",
            "cache.max_stale",
            "cache.fallback_ttl",
        ]
    );
    let endpoint = [("APP__TELEMETRY__ENDPOINT", "https://gate.example/?key=1")];
    assert_eq!(invalid_keys(&endpoint), ["telemetry.endpoint"]);
}
