//! What is special about a test's app, and how it is started.

use std::marker::PhantomData;

use platform::{App, Role};
use reqwest::Client;

use crate::{Mode, Proxy, TestApp, TestDatabase, UnderTest, collector::COLLECTOR, logs, redis_undisturbed};

/// What is special about an app.
pub struct TestAppBuilder<U> {
    role: Role,
    settings: Vec<(String, String)>,
    postgres_proxy: bool,
    postgres_away: bool,
    redis_proxy: bool,
    faulty_redis: bool,
    unmigrated: bool,
    under_test: PhantomData<U>,
}

impl<U: UnderTest> Default for TestAppBuilder<U> {
    fn default() -> Self {
        Self {
            role: Role::Api,
            settings: Vec::new(),
            postgres_proxy: false,
            postgres_away: false,
            redis_proxy: false,
            faulty_redis: false,
            unmigrated: false,
            under_test: PhantomData,
        }
    }
}

impl<U: UnderTest> TestAppBuilder<U> {
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
    pub async fn start(self) -> TestApp<U> {
        let name = format!("test-{}", uuid::Uuid::now_v7().simple());
        let server = in_environment("APP__DATABASE__URL");
        let redis_url = in_environment("APP__REDIS__URL");
        let service = U::service();
        let schema = service.definition().schema;
        let database = if self.unmigrated {
            TestDatabase::create(&server).await
        } else {
            TestDatabase::migrated(&server, schema).await
        };
        let (database_url, postgres) = via_proxy(&database.url, self.postgres_proxy).await;
        if let Some(proxy) = postgres.as_ref().filter(|_| self.postgres_away) {
            proxy.set(Mode::Cut);
        }
        let redis_address = crate::proxy::address_of(&redis_url).to_string();
        let (redis_url, redis) = via_proxy(&redis_url, self.redis_proxy).await;
        let collector = format!("http://{}", COLLECTOR.address);
        let common = [
            ("APP__SERVICE__NAME", name.as_str()),
            ("APP__DATABASE__URL", &database_url),
            ("APP__REDIS__URL", &redis_url),
            ("APP__HTTP__PORT", "0"),
            ("APP__HTTP__MANAGEMENT_PORT", "0"),
            ("APP__HTTP__WORKERS", "1"),
            ("APP__DATABASE__POOL_SIZE", "4"),
            ("APP__CACHE__MAX_LOADS", "4"),
            // Nothing is sampled, so that what arrives was kept for a reason.
            ("APP__TELEMETRY__ENDPOINT", &collector),
            ("APP__TELEMETRY__SAMPLE_RATIO", "0"),
        ];
        let common = common.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let loaded = service.load_from(common.into_iter().chain(self.settings));
        let settings = loaded.valid().expect("the settings of the test are valid");
        logs::start(settings.as_ref());

        let undisturbed = if self.faulty_redis {
            None
        } else {
            Some(redis_undisturbed().await)
        };
        let app = App::start(&settings, service, self.role);
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
            scopes: everything::<U>(),
            settings: settings.as_ref().clone(),
            _undisturbed: undisturbed,
        };
        if !self.unmigrated && !self.postgres_away {
            app.wait_for("/readyz", 200).await;
        }
        app
    }
}

/// All scopes of the contract.
fn everything<U: UnderTest>() -> String {
    let scopes = U::service()
        .definition()
        .contract()
        .operations()
        .routes()
        .scopes();
    scopes.into_iter().collect::<Vec<_>>().join(" ")
}

/// The address of a server that `make test` has started.
pub(crate) fn in_environment(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run the tests with `make test`"))
}

async fn via_proxy(url: &str, wanted: bool) -> (String, Option<Proxy>) {
    if !wanted {
        return (url.to_owned(), None);
    }
    let (proxy, url) = Proxy::before(url).await;
    (url, Some(proxy))
}
