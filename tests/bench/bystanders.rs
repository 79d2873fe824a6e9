//! What a supplier that hangs takes from routes that do not need it.

use std::time::{Duration, Instant};

use ::supplier::{Endpoint, Fault};
use futures_util::{StreamExt, stream};
use reqwest::Client;
use serde_json::json;
use testkit::Environment;
use tokio::time::{MissedTickBehavior, interval};

/// Rounds with the supplier well, alternating with as many where it hangs: noise meets both alike.
const ROUNDS: usize = 7;
const READS: usize = 3_000;
const IN_FLIGHT: usize = 8;
const QUOTES_EVERY: Duration = Duration::from_millis(20);

/// Reads at full speed beside a constant stream of quotes.
pub async fn print(environment: Environment) -> Environment {
    let free = ([127, 0, 0, 1], 0).into();
    let supplier = ::supplier::start(free, free).expect("free ports");
    let environment = environment
        .set("supplier.url", &format!("http://{}", supplier.address))
        .set("rate_limit.burst", "1000000")
        .set("rate_limit.per_second", "1000000");
    let token = String::from_utf8(environment.run(&["token", "--subject", "alice"]).stdout).expect("a token");
    let token = token.trim();
    let server = environment.serve();
    server.wait_for_probe("/readyz", 200).await;
    let client = Client::new();

    let quote = json!({ "currency": "EUR", "items": [{ "sku": "ABC-1234", "quantity": 2 }] });
    let url = format!("{}/v1/quotes", server.public);
    let quotes = client.post(url).bearer_auth(token).json(&quote);
    let quoting = tokio::spawn(async move {
        let mut ticks = interval(QUOTES_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            tokio::spawn(quotes.try_clone().expect("it has no stream").send());
        }
    });

    let list = format!("{}/v1/orders", server.public);
    let read = async || {
        let began = Instant::now();
        let reads = stream::iter(0..READS).map(|_| client.get(&list).bearer_auth(token).send());
        let answers = reads.buffer_unordered(IN_FLIGHT);
        answers
            .for_each(async |answer| assert_eq!(answer.expect("an answer").status(), 200))
            .await;
        READS as f64 / began.elapsed().as_secs_f64()
    };
    read().await;
    let mut kept = Vec::new();
    for _ in 0..ROUNDS {
        supplier.set_fault(Endpoint::Quotes, None);
        let well = read().await;
        supplier.set_fault(Endpoint::Quotes, Some(Fault::Hang));
        kept.push(read().await / well);
    }
    quoting.abort();
    kept.sort_by(f64::total_cmp);
    println!(
        "reads, supplier hanging       {:>4.0} % of those with it well   (median of {ROUNDS} pairs)",
        kept[ROUNDS / 2] * 100.0
    );
    environment
}
