//! The rate of reads at full speed.

#![expect(
    clippy::disallowed_methods,
    reason = "a tool has no shutdown to wait in, and calls what it started"
)]

use std::time::Instant;

use futures_util::{StreamExt, stream};
use reqwest::Client;
use testkit::{ProcessEnvironment, Server};

const READS: usize = 3_000;
const IN_FLIGHT: usize = 8;

/// A client that lists orders repeatedly, as one subject.
pub(super) struct Reader {
    /// The HTTP client; it reuses connections.
    pub client: Client,
    /// The bearer token of the subject.
    pub token: String,
    list: String,
}

impl Reader {
    /// Creates a reader of `server`.
    pub(super) fn new(server: &Server, environment: &ProcessEnvironment) -> Self {
        Self {
            client: Client::new(),
            token: environment.token("alice"),
            list: format!("{}/v1/orders", server.public),
        }
    }

    /// Measures the reads per second.
    pub(super) async fn rate(&self) -> f64 {
        let began = Instant::now();
        let reads =
            stream::iter(0..READS).map(|_| self.client.get(&self.list).bearer_auth(&self.token).send());
        let responses = reads.buffer_unordered(IN_FLIGHT);
        responses
            .for_each(async |response| assert_eq!(response.expect("a response").status(), 200))
            .await;
        READS as f64 / began.elapsed().as_secs_f64()
    }
}

/// Raises the quota so that it never applies.
pub(super) fn unlimited(environment: ProcessEnvironment) -> ProcessEnvironment {
    environment
        .set("rate_limit.burst", "1000000")
        .set("rate_limit.per_second", "1000000")
}
