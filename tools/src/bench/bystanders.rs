//! What a supplier that hangs takes from routes that do not need it.

use std::time::Duration;

use ::supplier::{Endpoint, Fault};
use serde_json::json;
use testkit::Environment;
use tokio::time::{MissedTickBehavior, interval};

use super::reads::{Reader, median, unlimited};

/// Rounds with the supplier well, alternating with as many where it hangs: noise meets both alike.
const ROUNDS: usize = 7;
const QUOTES_EVERY: Duration = Duration::from_millis(20);

/// Reads at full speed beside a constant stream of quotes.
pub async fn print(environment: Environment) -> Environment {
    let free = ([127, 0, 0, 1], 0).into();
    let supplier = ::supplier::start(free, free).expect("free ports");
    let environment = unlimited(environment.set("supplier.url", &format!("http://{}", supplier.address)));
    let server = environment.serve();
    server.wait_for_probe("/readyz", 200).await;
    let reader = Reader::of(&server, &environment);

    let quote = json!({ "currency": "EUR", "items": [{ "sku": "ABC-1234", "quantity": 2 }] });
    let quotes = reader.client.post(format!("{}/v1/quotes", server.public));
    let quotes = quotes.bearer_auth(&reader.token).json(&quote);
    let quoting = tokio::spawn(async move {
        let mut ticks = interval(QUOTES_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            tokio::spawn(quotes.try_clone().expect("it has no stream").send());
        }
    });
    reader.pace().await;
    let mut kept = Vec::new();
    for _ in 0..ROUNDS {
        supplier.set_fault(Endpoint::Quotes, None);
        let well = reader.pace().await;
        supplier.set_fault(Endpoint::Quotes, Some(Fault::Hang));
        kept.push(reader.pace().await / well);
    }
    quoting.abort();
    println!(
        "reads, supplier hanging       {:>4.0} % of those with it well      (median of {ROUNDS} pairs)",
        median(kept) * 100.0
    );
    environment
}
