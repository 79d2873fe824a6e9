//! Reads at full speed, and how fast they were.

use std::time::Instant;

use futures_util::{StreamExt, stream};
use reqwest::Client;
use testkit::{Environment, Server};

const READS: usize = 3_000;
const IN_FLIGHT: usize = 8;

/// Lists orders again and again, as one subject.
pub struct Reader {
    /// Keeps its connections.
    pub client: Client,
    /// Of the subject.
    pub token: String,
    list: String,
}

impl Reader {
    /// Of this server.
    pub fn of(server: &Server, environment: &Environment) -> Self {
        Self {
            client: Client::new(),
            token: environment.token("alice"),
            list: format!("{}/v1/orders", server.public),
        }
    }

    /// Reads per second.
    pub async fn pace(&self) -> f64 {
        let began = Instant::now();
        let reads =
            stream::iter(0..READS).map(|_| self.client.get(&self.list).bearer_auth(&self.token).send());
        let answers = reads.buffer_unordered(IN_FLIGHT);
        answers
            .for_each(async |answer| assert_eq!(answer.expect("an answer").status(), 200))
            .await;
        READS as f64 / began.elapsed().as_secs_f64()
    }
}

/// No quota is in the way.
pub fn unlimited(environment: Environment) -> Environment {
    environment
        .set("rate_limit.burst", "1000000")
        .set("rate_limit.per_second", "1000000")
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
