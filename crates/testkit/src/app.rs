//! The production app, running in the test process.

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

/// A running app with its own database, its own Redis keys and free ports.
pub struct TestApp<U: UnderTest> {
    /// The running app.
    pub app: App<U::State>,
    /// The app's database.
    pub database: TestDatabase,
    /// The socket address of the API.
    pub address: SocketAddr,
    /// The base URL of the API.
    pub url: String,
    /// The base URL of the management port.
    pub management_url: String,
    /// The `host:port` of the Redis server itself, without the proxy.
    pub redis_address: String,
    /// The proxy in front of Postgres, when the test asked for one.
    pub postgres: Option<Proxy>,
    /// The proxy in front of Redis, when the test asked for one.
    pub redis: Option<Proxy>,
    pub(crate) client: Client,
    pub(crate) scopes: String,
    /// The settings common to all services.
    pub settings: Settings,
    pub(crate) _redis_guard: Option<OwnedRwLockReadGuard<()>>,
}

impl<U: UnderTest> TestApp<U> {
    /// Starts an app with the default settings.
    pub async fn start() -> Self {
        Self::build().start().await
    }

    /// A builder for an app that differs from the default.
    pub fn build() -> TestAppBuilder<U> {
        TestAppBuilder::default()
    }

    /// A token for `subject` with the scopes in `scope`, separated by spaces.
    pub fn token(&self, subject: &str, scope: &str) -> String {
        development_token(&self.settings.auth, subject, scope, Duration::from_mins(10)).expect("HS256 signs")
    }

    /// A request without a token.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// A request of `subject`, whose token has every scope.
    pub fn request_as(&self, subject: &str, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path)
            .bearer_auth(self.token(subject, &self.scopes))
    }

    /// A request of `alice`, whose token has every scope.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_as("alice", method, path)
    }

    /// Sends a `GET` as `alice`.
    ///
    /// # Panics
    /// When there is no response.
    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.expect("a response")
    }

    /// Sends a `DELETE` as `alice`.
    ///
    /// # Panics
    /// When there is no response.
    pub async fn delete(&self, path: &str) -> Response {
        self.request(Method::DELETE, path)
            .send()
            .await
            .expect("a response")
    }

    /// Sends a `GET` to the management port.
    ///
    /// # Panics
    /// When there is no response.
    pub async fn management(&self, path: &str) -> Response {
        self.client
            .get(format!("{}{path}", self.management_url))
            .send()
            .await
            .expect("a response")
    }

    /// Polls a probe until it responds with `status`; returns the time that this took.
    ///
    /// # Panics
    /// After 30 s.
    pub async fn wait_for(&self, probe: &str, status: u16) -> Duration {
        let started = Instant::now();
        while self.management(probe).await.status() != status {
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "{probe} did not respond with {status}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        started.elapsed()
    }

    /// Waits until `count` requests are in flight.
    ///
    /// # Panics
    /// After 30 s.
    pub async fn wait_for_in_flight(&self, count: usize) {
        wait_for("requests in flight", &self.app.shared.in_flight, count).await;
    }

    /// Waits until `count` request bodies are being read. A request is in flight before that.
    ///
    /// # Panics
    /// After 30 s.
    pub async fn wait_for_uploads(&self, count: usize) {
        wait_for("bodies being read", &self.app.shared.uploads, count).await;
    }

    /// Waits until every pending cache write has finished.
    pub async fn wait_for_cache_writes(&self) {
        self.app.platform.lifecycle.background_idle().await;
    }

    /// The value on the first line of the metrics that begins with `name`; 0 when there is none.
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
            "there were never {count} {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
