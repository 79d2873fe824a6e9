//! The app of production in this process.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use api::service::{DEFAULT_TOML, SERVICE};
use platform::{
    App, Service,
    config::{self, Settings},
    http::{auth::development_token, document, openapi::scopes},
};
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde_json::{Value, json};
use tokio::sync::OwnedRwLockReadGuard;

use crate::{Mode, Proxy, TestDatabase, logs, redis_undisturbed, routes};

/// Where notes are.
pub const NOTES: &str = "/v1/test/notes";

/// An app with a database of its own, its ports free ones, its Redis keys its own.
pub struct TestApp {
    /// The app.
    pub app: App,
    /// Its database.
    pub database: TestDatabase,
    /// Where its API is.
    pub url: String,
    /// Where its probes are.
    pub management_url: String,
    /// `host:port` of the Redis server, past every proxy.
    pub redis_address: String,
    /// In front of Postgres, where asked for.
    pub postgres: Option<Proxy>,
    /// In front of Redis, where asked for.
    pub redis: Option<Proxy>,
    client: Client,
    scopes: String,
    /// Its settings.
    pub settings: Settings,
    _undisturbed: Option<OwnedRwLockReadGuard<()>>,
}

/// What is special about an app.
#[derive(Default)]
pub struct TestAppBuilder {
    settings: Vec<(String, String)>,
    postgres_proxy: bool,
    postgres_away: bool,
    redis_proxy: bool,
    faulty_redis: bool,
    unmigrated: bool,
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
        variables.extend(self.settings);
        let loaded = config::load_from(DEFAULT_TOML, Path::new("/nonexistent"), variables);
        let mut settings = loaded.valid().expect("run the tests with `make test`");
        logs::start(&settings);

        let server = secrecy_text(&settings.database.url);
        let database = TestDatabase::create(&server).await;
        if !self.unmigrated {
            database.migrate(&settings).await;
        }
        let (database_url, postgres) = via_proxy(&database.url, self.postgres_proxy).await;
        if let Some(proxy) = postgres.as_ref().filter(|_| self.postgres_away) {
            proxy.set(Mode::Cut);
        }
        let redis_url = secrecy_text(&settings.redis.url);
        let redis_address = address_of(&redis_url).to_string();
        let (redis_url, redis) = via_proxy(&redis_url, self.redis_proxy).await;
        settings.database.url = database_url.into();
        settings.redis.url = redis_url.into();

        let undisturbed = if self.faulty_redis {
            None
        } else {
            Some(redis_undisturbed().await)
        };
        let service = Service {
            configure: routes::configure,
            ..SERVICE
        };
        let app = App::start(settings.clone(), service);
        let app = app.expect("the app starts");
        let url = format!("http://{}", app.public.address);
        let management_url = format!("http://{}", app.management.address);
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        let app = TestApp {
            app,
            database,
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

fn address_of(url: &str) -> SocketAddr {
    let url = Url::parse(url).expect("an address");
    let port = url
        .port()
        .unwrap_or(if url.scheme() == "redis" { 6379 } else { 5432 });
    let host = url
        .host_str()
        .expect("an address over TCP, not a socket file")
        .to_owned();
    std::net::ToSocketAddrs::to_socket_addrs(&(host, port))
        .expect("a known host")
        .next()
        .expect("an address")
}

async fn via_proxy(url: &str, wanted: bool) -> (String, Option<Proxy>) {
    if !wanted {
        return (url.to_owned(), None);
    }
    let proxy = Proxy::to(address_of(url)).await;
    let mut url = Url::parse(url).expect("an address");
    url.set_host(Some("127.0.0.1"))
        .expect("an address can have a host");
    url.set_port(Some(proxy.address.port()))
        .expect("an address can have a port");
    (url.into(), Some(proxy))
}

/// A note that keeps all rules.
pub fn note() -> Value {
    json!({ "text": "remember the milk" })
}

impl TestApp {
    /// An app like any other.
    pub async fn start() -> Self {
        Self::build().start().await
    }

    /// An app with something special.
    pub fn build() -> TestAppBuilder {
        TestAppBuilder::default()
    }

    /// A token for `subject` with these scopes.
    pub fn token(&self, subject: &str, scope: &str) -> String {
        development_token(&self.settings.auth, subject, scope, Duration::from_secs(600)).expect("HS256 signs")
    }

    /// A request without a token.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// A request of `subject`, who may do everything.
    pub fn request_as(&self, subject: &str, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path)
            .bearer_auth(self.token(subject, &self.scopes))
    }

    /// A request of alice.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_as("alice", method, path)
    }

    /// `GET` as alice.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.expect("an answer")
    }

    /// `DELETE` as alice.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn delete(&self, path: &str) -> Response {
        self.request(Method::DELETE, path)
            .send()
            .await
            .expect("an answer")
    }

    /// Writes a note as alice under this key.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn write_with_key(&self, key: &str, note: &Value) -> Response {
        self.write_request(key, note).send().await.expect("an answer")
    }

    /// The request that writes a note as alice.
    pub fn write_request(&self, key: &str, note: &Value) -> RequestBuilder {
        self.request(Method::POST, NOTES)
            .header("idempotency-key", key)
            .json(note)
    }

    /// Writes a note as alice under a fresh key.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn write(&self, note: &Value) -> Response {
        self.write_with_key(&uuid::Uuid::new_v4().to_string(), note).await
    }

    /// Writes a note and gives its path.
    ///
    /// # Panics
    /// When it is not written.
    pub async fn written(&self) -> String {
        let response = self.write(&note()).await;
        assert_eq!(response.status(), 201);
        response.headers()["location"]
            .to_str()
            .expect("a path")
            .to_owned()
    }

    /// `GET` on the management port.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn management(&self, path: &str) -> Response {
        self.client
            .get(format!("{}{path}", self.management_url))
            .send()
            .await
            .expect("an answer")
    }

    /// Asks a probe until it answers `status`; gives the time that took.
    ///
    /// # Panics
    /// After ten seconds.
    pub async fn wait_for(&self, probe: &str, status: u16) -> Duration {
        let started = Instant::now();
        while self.management(probe).await.status() != status {
            assert!(
                started.elapsed() < Duration::from_secs(10),
                "{probe} did not become {status}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        started.elapsed()
    }

    /// Waits until so many requests are in flight.
    ///
    /// # Panics
    /// After ten seconds.
    pub async fn wait_for_in_flight(&self, count: usize) {
        let started = Instant::now();
        while self.app.platform.in_flight.in_flight() != count {
            assert!(
                started.elapsed() < Duration::from_secs(10),
                "never {count} in flight"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until every cache entry that was on its way has arrived.
    pub async fn redis_has_entries(&self) {
        self.app.platform.lifecycle.background_idle().await;
    }

    /// Deletes something through another replica.
    ///
    /// # Panics
    /// When there is nothing.
    pub async fn delete_elsewhere(&self, path: &str) {
        let mut settings = self.settings.clone();
        settings.database.url = self.database.url.as_str().into();
        let service = Service {
            configure: routes::configure,
            ..SERVICE
        };
        let another = App::start(settings, service).expect("another replica starts");
        let request = self
            .client
            .delete(format!("http://{}{path}", another.public.address));
        let request = request.bearer_auth(self.token("alice", &self.scopes));
        assert_eq!(request.send().await.expect("an answer").status(), 204);
    }

    /// The value of a metric's line that begins with `name`, 0 where there is none.
    ///
    /// # Panics
    /// When the metrics cannot be read.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self
            .management("/metrics")
            .await
            .text()
            .await
            .expect("metrics are text");
        let line = text.lines().find(|line| line.starts_with(name));
        line.map_or(0.0, |line| {
            line.rsplit(' ')
                .next()
                .expect("a value")
                .parse()
                .expect("a number")
        })
    }
}
