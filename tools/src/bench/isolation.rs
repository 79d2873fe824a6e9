//! How much a hanging supplier slows down routes that do not need it.

#![expect(
    clippy::disallowed_methods,
    reason = "a tool has no shutdown to wait in, and calls what it started"
)]

use std::time::Duration;

use ::supplier::{Endpoint, Fault};
use serde_json::json;
use testkit::ProcessEnvironment;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    median,
    reads::{Reader, unlimited},
};

/// Pairs of rounds, with a healthy and with a hanging supplier; alternating them spreads noise over both.
const ROUNDS: usize = 7;
const QUOTES_EVERY: Duration = Duration::from_millis(20);

/// Measures reads at full speed next to a constant stream of quotes.
pub(super) async fn print(environment: ProcessEnvironment) -> ProcessEnvironment {
    let free = ([127, 0, 0, 1], 0).into();
    let supplier = ::supplier::start(free, free).expect("free ports");
    let environment = unlimited(environment.set("supplier.url", &format!("http://{}", supplier.address)));
    let server = environment.serve();
    server.wait_for_probe("/readyz", 200).await;
    let reader = Reader::new(&server, &environment);

    let quote = json!({ "currency": "EUR", "items": [{ "sku": "ABC-1234", "quantity": 2 }] });
    let quotes = reader.client.post(format!("{}/v1/quotes", server.public));
    let quotes = quotes.bearer_auth(&reader.token).json(&quote);
    let quoting = tokio::spawn(async move {
        let mut ticks = interval(QUOTES_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            tokio::spawn(quotes.try_clone().expect("the body is not a stream").send());
        }
    });
    reader.rate().await;
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        supplier.set_fault(Endpoint::Quotes, None);
        let healthy = reader.rate().await;
        supplier.set_fault(Endpoint::Quotes, Some(Fault::Hang));
        ratios.push(reader.rate().await / healthy);
    }
    quoting.abort();
    println!(
        "reads, supplier hanging       {:>4.0} % of a healthy supplier   (median of {ROUNDS} pairs)",
        median(ratios) * 100.0
    );
    environment
}
