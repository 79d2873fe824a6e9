//! The cost of traces, and of a collector that hangs: the latter must be nothing, because spans are queued.

use testkit::{Collector, CollectorBehavior, ProcessEnvironment};

use super::{
    median,
    reads::{Reader, unlimited},
};

const ROUNDS: usize = 7;

/// Compares reads without traces, with the default sample ratio, with every trace sampled, and with a collector that
/// hangs.
pub(super) async fn print(environment: ProcessEnvironment) -> ProcessEnvironment {
    let (healthy, hanging) = (Collector::start(), Collector::start());
    hanging.set(CollectorBehavior::Hang);
    let endpoint = |collector: &Collector| format!("http://{}", collector.address);
    let environment = unlimited(environment);
    let without = environment.serve();
    let environment = environment.set("telemetry.endpoint", &endpoint(&healthy));
    let default_ratio = environment.serve();
    let environment = environment.set("telemetry.sample_ratio", "1");
    let every = environment.serve();
    let environment = environment.set("telemetry.endpoint", &endpoint(&hanging));
    let hung = environment.serve();
    let mut readers = Vec::new();
    for server in [&without, &default_ratio, &every, &hung] {
        server.wait_for_probe("/readyz", 200).await;
        let reader = Reader::new(server, &environment);
        reader.rate().await;
        readers.push(reader);
    }
    let mut ratios = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let mut rates = Vec::new();
        for reader in &readers {
            rates.push(reader.rate().await);
        }
        ratios[0].push(rates[1] / rates[0]);
        ratios[1].push(rates[2] / rates[0]);
        ratios[2].push(rates[3] / rates[2]);
    }
    let rows = [
        ("reads, 1 % of traces sampled", "reads without traces"),
        ("reads, every trace sampled", "reads without traces"),
        ("the same, collector hanging", "a healthy collector"),
    ];
    for ((what, baseline), ratios) in rows.iter().zip(ratios) {
        println!(
            "{what:<28} {:>5.0} % of {baseline:<20} (median of {ROUNDS} rounds)",
            median(ratios) * 100.0
        );
    }
    environment.set("telemetry.endpoint", "")
}
