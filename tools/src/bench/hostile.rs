//! What 1,000 hostile connections cost the other clients: slow and silent peers in every phase of a request.

use std::{net::SocketAddr, path::Path, time::Duration};

use testkit::Server;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use super::median;
use crate::{
    Failure,
    environment::Environment,
    load::{Caller, Load, Outcome},
};

const CONNECTIONS: usize = 1_000;
/// Pairs of rounds, without and with the hostile connections; alternating them spreads noise over both.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(12);
/// Time for the connections to open, and to close again.
const SETTLE: Duration = Duration::from_secs(3);
const PERIOD: Duration = Duration::from_millis(8);
const LAST_RESPONSES: Duration = Duration::from_secs(9);
/// A hostile peer that the service has turned away is back after this time.
const RETURNS_AFTER: Duration = Duration::from_millis(500);

/// What a peer sends, and whether it reads the response. Then it is silent until the service closes the connection.
const PEERS: [(&str, bool); 7] = [
    // Connects.
    ("", true),
    // A head that never ends.
    ("G", true),
    // Not HTTP.
    ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\r\n\r\n", true),
    // A body that never arrives.
    (
        "POST /info HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{",
        true,
    ),
    // A second head that never ends.
    ("GET /info HTTP/1.1\r\nhost: x\r\n\r\nG", true),
    // An idle connection.
    ("GET /info HTTP/1.1\r\nhost: x\r\n\r\n", true),
    // Large responses that are not read.
    (
        "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\nGET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n",
        false,
    ),
];

/// Measures the load and prints the ratios.
pub(crate) async fn print(binary: &Path) -> Result<(), Failure> {
    let environment = Environment::new(binary).await;
    environment.processes().run(&["migrate"]);
    let server = environment.processes().serve();
    server.wait_for_probe("/readyz", 200).await;
    let caller = Caller::connect(server.public.clone(), environment.processes().token("hostile")).await?;
    let caller = caller.with_pages();
    caller.prepare().await?;
    // A warm-up, after which the memory no longer grows by itself.
    round(&caller).await;

    let (mut p50, mut p99, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    let (mut requests, mut failed) = (0, Vec::new());
    for _ in 0..ROUNDS {
        let (quiet, quiet_kib) = (round(&caller).await, server.resident_kib());
        let hostile = hostile(&server)?;
        tokio::time::sleep(SETTLE).await;
        let (disturbed, disturbed_kib) = (round(&caller).await, server.resident_kib());
        drop(hostile);
        tokio::time::sleep(SETTLE).await;
        requests += disturbed.len();
        failed.extend(disturbed.iter().filter(|outcome| !outcome.is_ok()).cloned());
        p50.push(percentile(&disturbed, 50) / percentile(&quiet, 50));
        p99.push(percentile(&disturbed, 99) / percentile(&quiet, 99));
        memory.push((disturbed_kib as f64 - quiet_kib as f64) / 1024.0);
    }
    println!(
        "{CONNECTIONS} hostile connections  p50 × {:.2}, p99 × {:.2}, {:+.1} MiB, {} of {requests} requests failed   \
         (medians of {ROUNDS} pairs)",
        median(p50),
        median(p99),
        median(memory),
        failed.len()
    );
    for Outcome {
        operation, result, ..
    } in failed.iter().take(5)
    {
        println!("  {operation} got {result}");
    }
    Ok(())
}

/// Sends the load for one round.
async fn round(caller: &Caller) -> Vec<Outcome> {
    let load = Load::start(caller.clone(), PERIOD);
    tokio::time::sleep(ROUND).await;
    load.finish(LAST_RESPONSES).await
}

/// Opens the hostile connections, which return when they are closed, until the result is dropped.
fn hostile(server: &Server) -> Result<JoinSet<()>, Failure> {
    let address: SocketAddr = server.public.trim_start_matches("http://").parse()?;
    let mut peers = JoinSet::new();
    for index in 0..CONNECTIONS {
        let (sends, reads) = PEERS[index % PEERS.len()];
        peers.spawn(async move {
            loop {
                // A refused or reset connection is what such a peer deserves.
                let _ = attack(address, sends, reads).await;
                tokio::time::sleep(RETURNS_AFTER).await;
            }
        });
    }
    Ok(peers)
}

async fn attack(address: SocketAddr, sends: &str, reads: bool) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(sends.as_bytes()).await?;
    if !reads {
        return std::future::pending().await;
    }
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

fn percentile(outcomes: &[Outcome], percent: usize) -> f64 {
    let mut times: Vec<f64> = outcomes
        .iter()
        .map(|outcome| outcome.took.as_secs_f64())
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() * percent / 100]
}
