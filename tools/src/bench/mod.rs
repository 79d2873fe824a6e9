//! `make bench-quick`: what a request costs in round trips, what the process costs at rest, how fast it starts.
//! Prints what it saw; nothing here can fail a build.

mod bystanders; // sample
mod collectors; // sample
mod orders; // sample
mod reads; // sample

use std::{
    path::Path,
    time::{Duration, Instant},
};

use testkit::Environment;

const STARTS: usize = 7;

/// Prints every figure.
pub async fn print(binary: &Path) {
    let environment = Environment::new(binary).await;
    assert!(
        environment.run(&["migrate"]).status.success(),
        "the migrations run"
    );

    let mut starts: Vec<Duration> = Vec::new();
    let mut at_rest = Vec::new();
    for _ in 0..STARTS {
        let started = Instant::now();
        let server = environment.serve();
        server.wait_for_probe("/readyz", 200).await;
        starts.push(started.elapsed());
        at_rest.push(server.resident_kib());
    }
    starts.sort();
    at_rest.sort_unstable();
    println!(
        "from exec to /readyz 200     {:>5} ms   (median of {STARTS})",
        starts[STARTS / 2].as_millis()
    );
    println!(
        "resident memory, at rest     {:>5.1} MB   (median of {STARTS})",
        megabytes(at_rest[STARTS / 2])
    );

    orders::print_jobs(&environment).await; // sample
    let environment = bystanders::print(environment).await; // sample
    let environment = collectors::print(environment).await; // sample
    orders::print(environment).await; // sample
}

fn megabytes(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}
