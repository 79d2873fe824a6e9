//! What traces cost, and what a collector that hangs takes from requests: nothing, or the queue does not do its work.

use testkit::{Collecting, Collector, Environment};

use super::reads::{Reader, median, unlimited};

const ROUNDS: usize = 7;

/// Reads without traces, with traces of the usual share, and with a trace of every request at a collector that hangs.
pub async fn print(environment: Environment) -> Environment {
    let (well, hanging) = (Collector::start(), Collector::start());
    hanging.set(Collecting::Hanging);
    let endpoint = |collector: &Collector| format!("http://{}", collector.address);
    let environment = unlimited(environment);
    let without = environment.serve();
    let environment = environment.set("telemetry.endpoint", &endpoint(&well));
    let usual = environment.serve();
    let environment = environment.set("telemetry.sample_ratio", "1");
    let every = environment.serve();
    let environment = environment.set("telemetry.endpoint", &endpoint(&hanging));
    let hung = environment.serve();
    let mut readers = Vec::new();
    for server in [&without, &usual, &every, &hung] {
        server.wait_for_probe("/readyz", 200).await;
        let reader = Reader::of(server, &environment);
        reader.pace().await;
        readers.push(reader);
    }
    let mut ratios = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let mut paces = Vec::new();
        for reader in &readers {
            paces.push(reader.pace().await);
        }
        ratios[0].push(paces[1] / paces[0]);
        ratios[1].push(paces[2] / paces[0]);
        ratios[2].push(paces[3] / paces[2]);
    }
    let what = [
        ("reads, 1 % of traces kept", "those without traces"),
        ("reads, every trace sent", "those without traces"),
        ("the same, collector hanging", "those with it well"),
    ];
    for ((what, against), ratios) in what.iter().zip(ratios) {
        println!(
            "{what:<28} {:>5.0} % of {against:<20} (median of {ROUNDS} rounds)",
            median(ratios) * 100.0
        );
    }
    environment.set("telemetry.endpoint", "")
}
