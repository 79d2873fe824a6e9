//! `make bench-backlog`: what a backlog of jobs costs while the dependency that they need is unavailable.

#![expect(
    clippy::disallowed_methods,
    reason = "a tool has no shutdown to wait in, and calls what it started"
)]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use ::supplier::{Endpoint, Fault};
use futures_util::{StreamExt, stream};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use testkit::{Proxy, Server};

use super::{median, orders::place_order};
use crate::{Failure, environment::Environment};

const BACKLOG: i32 = 50_000;
const ROUNDS: usize = 5;
const ORDERS: usize = 400;
const IN_FLIGHT: usize = 4;
/// The time for which the round trips of a worker are counted.
const COUNTED: Duration = Duration::from_secs(20);

/// A service whose supplier accepts no notification, with a worker.
struct Service {
    environment: Environment,
    api: Server,
    _worker: Server,
    /// Counts the round trips of the worker to Postgres.
    round_trips: Proxy,
    token: String,
}

impl Service {
    async fn start(binary: &Path) -> Result<Self, Failure> {
        let environment = Environment::new(binary).await;
        let api = environment.serve().await?;
        let token = environment.processes().token("bench");
        environment
            .supplier()
            .set_fault(Endpoint::Notifications, Some(Fault::Status { status: 503 }));
        let (round_trips, url) = Proxy::before(&environment.processes().database.url).await;
        let environment = environment.set("database.url", &url);
        let worker = environment.processes().work();
        worker.wait_for_probe("/readyz", 200).await;
        Ok(Self {
            environment,
            api,
            _worker: worker,
            round_trips,
            token,
        })
    }

    fn place_order(&self, client: &Client) -> RequestBuilder {
        place_order(client, &self.api.public, &self.token)
    }

    /// The median time of an order, in milliseconds.
    async fn median_order(&self, client: &Client) -> Result<f64, Failure> {
        let placed = stream::iter(0..ORDERS).map(async |_| {
            let began = Instant::now();
            let response = self.place_order(client).send().await?;
            response.error_for_status()?;
            Ok::<_, reqwest::Error>(began.elapsed().as_secs_f64() * 1e3)
        });
        let times: Vec<_> = placed.buffer_unordered(IN_FLIGHT).collect().await;
        let times = times.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(median(times))
    }
}

pub(crate) async fn run(binary: &Path) -> Result<(), Failure> {
    let client = Client::new();
    let (full, empty) = (Service::start(binary).await?, Service::start(binary).await?);
    let order: Value = full.place_order(&client).send().await?.json().await?;
    let database = &full.environment.processes().database;
    database
        .enqueue("send_confirmation", json!({ "order_id": order["id"] }), BACKLOG)
        .await;
    empty.median_order(&client).await?;
    for service in [&full, &empty] {
        let paused = "SELECT count(*) FROM job_pauses";
        let database = &service.environment.processes().database;
        database.wait_until(paused, |paused| paused == 1).await;
    }
    let before = full.round_trips.round_trips();
    tokio::time::sleep(COUNTED).await;
    let per_second = (full.round_trips.round_trips() - before) as f64 / COUNTED.as_secs_f64();

    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let order = if round % 2 == 0 {
            [&full, &empty]
        } else {
            [&empty, &full]
        };
        let mut times = [
            order[0].median_order(&client).await?,
            order[1].median_order(&client).await?,
        ];
        if round % 2 == 1 {
            times.reverse();
        }
        println!(
            "round {}: {:.2} ms with the backlog, {:.2} ms without",
            round + 1,
            times[0],
            times[1]
        );
        ratios.push(times[0] / times[1]);
    }
    println!("\nround trips of the worker    {per_second:>5.1} /s   (supplier down, {BACKLOG} jobs waiting)");
    println!(
        "POST /v1/orders, p50         × {:.2}     (median of {ROUNDS} pairs, with and without the backlog)",
        median(ratios)
    );
    Ok(())
}
