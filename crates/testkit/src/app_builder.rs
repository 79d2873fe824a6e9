//! What is special about a test's app, and how it is started.

use std::path::Path;

use api::service::{DEFAULT_TOML, SERVICE};
use platform::{
    App, Role, config,
    http::{document, openapi::scopes},
};
use reqwest::Client;

use crate::{Mode, Proxy, TestApp, TestDatabase, collector::COLLECTOR, logs, redis_undisturbed, routes};

/// What is special about an app.
pub struct TestAppBuilder {
    role: Role,
    settings: Vec<(String, String)>,
    postgres_proxy: bool,
    postgres_away: bool,
    redis_proxy: bool,
    faulty_redis: bool,
    unmigrated: bool,
}

impl Default for TestAppBuilder {
    fn default() -> Self {
        Self {
            role: Role::Api,
            settings: Vec::new(),
            postgres_proxy: false,
            postgres_away: false,
            redis_proxy: false,
            faulty_redis: false,
            unmigrated: false,
        }
    }
}

impl TestAppBuilder {
    /// Sets a key, as the environment would.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push((
            format!("APP__{}", key.replace('.', "__").to_uppercase()),
            value.to_owned(),
        ));
        self
    }

    /// The app works off jobs too.
    pub fn worker(mut self) -> Self {
        self.role = Role::Both;
        self
    }

    /// Puts a proxy in front of Postgres.
    pub fn postgres_proxy(mut self) -> Self {
        self.postgres_proxy = true;
        self
    }

    /// Postgres cannot be reached when the app starts; the app is not waited for.
    pub fn postgres_away(mut self) -> Self {
        (self.postgres_proxy, self.postgres_away) = (true, true);
        self
    }

    /// Puts a proxy in front of Redis.
    pub fn redis_proxy(mut self) -> Self {
        self.redis_proxy = true;
        self
    }

    /// The test makes the Redis server itself faulty.
    pub fn faulty_redis(mut self) -> Self {
        self.faulty_redis = true;
        self
    }

    /// The database has no schema yet; the app is not waited for.
    pub fn unmigrated(mut self) -> Self {
        self.unmigrated = true;
        self
    }

    /// Starts the app and waits until it is ready.
    ///
    /// # Panics
    /// When Postgres or Redis is not there: `make test` starts both.
    pub async fn start(self) -> TestApp {
        let name = format!("test-{}", uuid::Uuid::now_v7().simple());
        let mut variables: Vec<(String, String)> = std::env::vars()
            .filter(|(name, _)| name == "APP__DATABASE__URL" || name == "APP__REDIS__URL")
            .collect();
        let mut set = |key: &str, value: &str| variables.push((key.to_owned(), value.to_owned()));
        set("APP__SERVICE__NAME", &name);
        set("APP__HTTP__PORT", "0");
        set("APP__HTTP__MANAGEMENT_PORT", "0");
        set("APP__HTTP__WORKERS", "1");
        set("APP__DATABASE__POOL_SIZE", "4");
        set("APP__CACHE__MAX_LOADS", "4");
        // Nothing is sampled, so that what arrives was kept for a reason.
        set(
            "APP__TELEMETRY__ENDPOINT",
            &format!("http://{}", COLLECTOR.address),
        );
        set("APP__TELEMETRY__SAMPLE_RATIO", "0");
        variables.extend(self.settings);
        let loaded = config::load_from(DEFAULT_TOML, Path::new("/nonexistent"), variables);
        let mut settings = loaded.valid().expect("run the tests with `make test`");
        logs::start(&settings);

        let server = secrecy_text(&settings.database.url);
        let database = if self.unmigrated {
            TestDatabase::create(&server).await
        } else {
            TestDatabase::migrated(&server, &settings).await
        };
        let (database_url, postgres) = via_proxy(&database.url, self.postgres_proxy).await;
        if let Some(proxy) = postgres.as_ref().filter(|_| self.postgres_away) {
            proxy.set(Mode::Cut);
        }
        let redis_url = secrecy_text(&settings.redis.url);
        let redis_address = crate::proxy::address_of(&redis_url).to_string();
        let (redis_url, redis) = via_proxy(&redis_url, self.redis_proxy).await;
        settings.database.url = database_url.into();
        settings.redis.url = redis_url.into();

        let undisturbed = if self.faulty_redis {
            None
        } else {
            Some(redis_undisturbed().await)
        };
        let app = App::start(settings.clone(), crate::SERVICE, self.role);
        let app = app.expect("the app starts");
        let address = app.public.as_ref().expect("every role of a test serves").address;
        let url = format!("http://{address}");
        let management_url = format!("http://{}", app.management.address);
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        let app = TestApp {
            app,
            database,
            address,
            url,
            management_url,
            redis_address,
            postgres,
            redis,
            client,
            scopes: everything(),
            settings,
            _undisturbed: undisturbed,
        };
        if !self.unmigrated && !self.postgres_away {
            app.wait_for("/readyz", 200).await;
        }
        app
    }
}

/// All scopes of the contract, those of the tests' own routes included.
fn everything() -> String {
    let document = document(routes::configure, SERVICE.catalogue, SERVICE.version);
    scopes(&document).into_iter().collect::<Vec<_>>().join(" ")
}

fn secrecy_text(secret: &platform::config::SecretString) -> String {
    platform::config::ExposeSecret::expose_secret(secret).to_owned()
}

async fn via_proxy(url: &str, wanted: bool) -> (String, Option<Proxy>) {
    if !wanted {
        return (url.to_owned(), None);
    }
    let (proxy, url) = Proxy::before(url).await;
    (url, Some(proxy))
}
