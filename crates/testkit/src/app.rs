//! The app of production in this process.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use auth::development_token;
use platform::{App, Settings};
use reqwest::{Client, Method, RequestBuilder, Response};
use resilience::ConcurrencyLimit;
use tokio::sync::OwnedRwLockReadGuard;

use crate::{Proxy, TestAppBuilder, TestDatabase, UnderTest};

/// An app with a database of its own, its ports free ones, its Redis keys its own.
pub struct TestApp<U: UnderTest> {
    /// The app.
    pub app: App<U::State>,
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
    /// The settings that every service has.
    pub settings: Settings,
    pub(crate) _undisturbed: Option<OwnedRwLockReadGuard<()>>,
}

impl<U: UnderTest> TestApp<U> {
    /// An app like any other.
    pub async fn start() -> Self {
        Self::build().start().await
    }

    /// An app with something special.
    pub fn build() -> TestAppBuilder<U> {
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

    /// Waits until `count` requests are in flight.
    ///
    /// # Panics
    /// When that does not come true within 30 s.
    pub async fn wait_for_in_flight(&self, count: usize) {
        wait_for("requests in flight", &self.app.shared.in_flight, count).await;
    }

    /// Waits until `count` bodies are being read: later than the requests come in.
    ///
    /// # Panics
    /// When that does not come true within 30 s.
    pub async fn wait_for_uploads(&self, count: usize) {
        wait_for("bodies being read", &self.app.shared.uploads, count).await;
    }

    /// Waits until every cache entry that was on its way has arrived.
    pub async fn redis_has_entries(&self) {
        self.app.platform.lifecycle.background_idle().await;
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

async fn wait_for(what: &str, limit: &ConcurrencyLimit, count: usize) {
    let started = Instant::now();
    while limit.in_flight() != count {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "never {count} {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
