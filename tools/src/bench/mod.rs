//! Benchmarks. `make bench-quick`: round trips per request, memory at rest, startup time. They only print figures: none of
//! them can fail a build.

pub(crate) mod backlog; // sample
mod collectors; // sample
pub(crate) mod hostile;
mod isolation; // sample
pub(crate) mod jobs; // sample
mod orders; // sample
mod reads; // sample

use std::{
    path::Path,
    time::{Duration, Instant},
};

use testkit::ProcessEnvironment;

const STARTS: usize = 7;

/// Runs all benchmarks and prints their figures.
pub(crate) async fn print(binary: &Path) {
    let environment = ProcessEnvironment::new(binary).await;
    assert!(
        environment.run(&["migrate"]).status.success(),
        "migrations must succeed"
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

    let environment = isolation::print(environment).await; // sample
    let environment = collectors::print(environment).await; // sample
    orders::print(environment).await; // sample
}

/// The median of `values`.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn megabytes(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}
