//! A builder that configures and starts the app of a test.

use std::marker::PhantomData;

use platform::{App, Role};
use reqwest::Client;

use crate::{
    Mode, Proxy, TestApp, TestDatabase, UnderTest, collector::COLLECTOR, database::SERVICE_ROLE, logs,
    redis_guard,
};

/// A builder for a [`TestApp`].
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct TestAppBuilder<U> {
    role: Role,
    settings: Vec<(String, String)>,
    postgres_proxy: bool,
    postgres_down: bool,
    redis_proxy: bool,
    exclusive_redis: bool,
    unmigrated: bool,
    replica_of: Option<(String, TestDatabase)>,
    under_test: PhantomData<U>,
}

impl<U: UnderTest> Default for TestAppBuilder<U> {
    fn default() -> Self {
        Self {
            role: Role::Api,
            settings: Vec::new(),
            postgres_proxy: false,
            postgres_down: false,
            redis_proxy: false,
            exclusive_redis: false,
            unmigrated: false,
            replica_of: None,
            under_test: PhantomData,
        }
    }
}

impl<U: UnderTest> TestAppBuilder<U> {
    /// Sets a configuration key, such as `database.pool_size`, through its environment variable.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push((
            format!("APP__{}", key.replace('.', "__").to_uppercase()),
            value.to_owned(),
        ));
        self
    }

    /// Makes the app run jobs as well as serve the API.
    pub fn worker(mut self) -> Self {
        self.role = Role::All;
        self
    }

    /// Puts a proxy in front of Postgres.
    pub fn postgres_proxy(mut self) -> Self {
        self.postgres_proxy = true;
        self
    }

    /// Makes Postgres unavailable when the app starts; [`start`](Self::start) does not wait for readiness.
    pub fn postgres_unavailable(mut self) -> Self {
        (self.postgres_proxy, self.postgres_down) = (true, true);
        self
    }

    /// Puts a proxy in front of Redis.
    pub fn redis_proxy(mut self) -> Self {
        self.redis_proxy = true;
        self
    }

    /// Lets the test inject faults into the Redis server itself, with [`RedisFault`](crate::RedisFault).
    pub fn exclusive_redis(mut self) -> Self {
        self.exclusive_redis = true;
        self
    }

    /// Leaves the database without a schema; [`start`](Self::start) does not wait for readiness.
    pub fn unmigrated(mut self) -> Self {
        self.unmigrated = true;
        self
    }

    /// Makes the app another replica of the service of `app`: it has the same name, database and Redis.
    pub fn replica_of(mut self, app: &TestApp<U>) -> Self {
        self.replica_of = Some((app.settings.service.name.clone(), app.database.shared()));
        self
    }

    /// Starts the app and waits until it is ready.
    ///
    /// # Panics
    /// When Postgres or Redis is not running: `make test` starts both.
    pub async fn start(self) -> TestApp<U> {
        let server = server_url("APP__DATABASE__URL");
        let redis_url = server_url("APP__REDIS__URL");
        let service = U::service();
        let schema = service.definition().schema;
        let new_name = || format!("test-{}", uuid::Uuid::now_v7().simple());
        let (name, database) = match self.replica_of {
            Some((name, database)) => (name, database),
            None if self.unmigrated => (new_name(), TestDatabase::create(&server).await),
            None => (new_name(), TestDatabase::migrated(&server, schema).await),
        };
        let (database_url, postgres) = via_proxy(&database.service_url(), self.postgres_proxy).await;
        if let Some(proxy) = postgres.as_ref().filter(|_| self.postgres_down) {
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
            ("APP__CACHE__MAX_CONCURRENT_LOADS", "3"),
            // Most tests have a single subject.
            ("APP__RATE_LIMIT__MAX_SHARE", "1"),
            // The tests sample their own traces.
            ("APP__HTTP__TRUSTED_PROXIES", "127.0.0.0/8"),
            // No random sampling: a trace that is exported was kept for a reason.
            ("APP__TELEMETRY__ENDPOINT", &collector),
            ("APP__TELEMETRY__SAMPLE_RATIO", "0"),
        ];
        let common = common.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let of_database = database.variables().into_iter();
        let loaded = service.load_from(of_database.chain(common).chain(self.settings));
        let settings = loaded.valid().expect("the test's settings are valid");
        if settings.as_ref().database.pooler && !self.unmigrated {
            // The role has the timeouts of this test.
            let granted = schema.grant_to(&settings.as_ref().database, SERVICE_ROLE).await;
            granted.expect("the timeouts are set");
        }
        logs::start(settings.as_ref());

        let redis_guard = if self.exclusive_redis {
            None
        } else {
            Some(redis_guard().await)
        };
        let app = App::start(&settings, service, self.role);
        let app = app.expect("the app starts");
        let address = app.public.as_ref().expect("tests use roles that serve").address;
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
            scopes: all_scopes::<U>(),
            settings: settings.as_ref().clone(),
            _redis_guard: redis_guard,
        };
        if !self.unmigrated && !self.postgres_down {
            app.wait_for("/readyz", 200).await;
        }
        app
    }
}

/// Every scope of the contract, separated by spaces.
fn all_scopes<U: UnderTest>() -> String {
    let scopes = U::service()
        .definition()
        .contract()
        .operations()
        .routes()
        .scopes();
    scopes.into_iter().collect::<Vec<_>>().join(" ")
}

/// The URL of a server that `make test` has started, from an environment variable.
pub(crate) fn server_url(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run the tests with `make test`"))
}

async fn via_proxy(url: &str, enabled: bool) -> (String, Option<Proxy>) {
    if !enabled {
        return (url.to_owned(), None);
    }
    let (proxy, url) = Proxy::before(url).await;
    (url, Some(proxy))
}
