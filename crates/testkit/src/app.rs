//! The app of production in this process.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use platform::{App, Role, config::Settings, http::auth::development_token};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::sync::OwnedRwLockReadGuard;

use crate::{Proxy, TestAppBuilder, TestDatabase};

/// Where notes are.
pub const NOTES: &str = "/v1/test/notes";

/// An app with a database of its own, its ports free ones, its Redis keys its own.
pub struct TestApp {
    /// The app.
    pub app: App,
    /// Its database.
    pub database: TestDatabase,
    /// Where its API listens.
    pub address: SocketAddr,
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
    pub(crate) client: Client,
    pub(crate) scopes: String,
    /// Its settings.
    pub settings: Settings,
    pub(crate) _undisturbed: Option<OwnedRwLockReadGuard<()>>,
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
    /// After thirty seconds.
    pub async fn wait_for(&self, probe: &str, status: u16) -> Duration {
        let started = Instant::now();
        while self.management(probe).await.status() != status {
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "{probe} did not become {status}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        started.elapsed()
    }

    /// Waits until so many requests are in flight.
    ///
    /// # Panics
    /// After thirty seconds.
    pub async fn wait_for_in_flight(&self, count: usize) {
        let started = Instant::now();
        while self.app.platform.in_flight.in_flight() != count {
            assert!(
                started.elapsed() < Duration::from_secs(30),
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
        let another = App::start(settings, crate::SERVICE, Role::Api).expect("another replica starts");
        let request = self.client.delete(format!(
            "http://{}{path}",
            another.public.as_ref().expect("it serves").address
        ));
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
