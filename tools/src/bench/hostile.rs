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
    load::{Caller, Load, Outcome, percentile},
};

const CONNECTIONS: usize = 1_000;
/// Pairs of rounds, without and with the hostile connections; alternating them spreads noise over both.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(12);
/// Time for the connections to open, and to close again.
const SETTLE: Duration = Duration::from_secs(3);
const PERIOD: Duration = Duration::from_millis(8);
const LAST_RESPONSES: Duration = Duration::from_secs(9);
/// The pause before a peer whose connection was closed reconnects.
const RETURNS_AFTER: Duration = Duration::from_millis(500);

/// What a peer sends, and whether it reads the response. Then it is silent until the service closes the connection.
const PEERS: [(&str, bool); 7] = [
    // Connects.
    ("", true),
    // A head that never ends.
    ("G", true),
    // Not HTTP.
    ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\r\n\r\n", true),
    // A body that never arrives, with a valid token.
    (UPLOAD, true),
    // A second head that never ends.
    ("GET /info HTTP/1.1\r\nhost: x\r\n\r\nG", true),
    // An idle connection.
    ("GET /info HTTP/1.1\r\nhost: x\r\n\r\n", true),
    // Large responses that are not read.
    ("GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n", false),
];
/// How often a peer that does not read asks: the responses exceed the buffers of both kernels.
const UNREAD_RESPONSES: usize = 64;
/// How long such a peer keeps its connection.
const UNREAD_FOR: Duration = Duration::from_secs(20);
/// Stands for the head of an upload and the first byte of its body.
const UPLOAD: &str = "upload";

/// Measures the load and prints the ratios.
pub(crate) async fn print(binary: &Path) -> Result<(), Failure> {
    let environment = Environment::new(binary).await;
    let server = environment.serve().await?;
    // One hostile client has a valid token of its own.
    let token = environment.processes().token("hostile");
    let caller = Caller::connect(server.public.clone(), environment.processes().token("load")).await?;
    let caller = caller.with_pages();
    let mut operations = caller.contract().operations().iter();
    let upload = operations.find(|operation| operation.body.is_some() && !operation.template.contains('{'));
    let upload = upload.map_or_else(String::new, |operation| {
        format!(
            "{} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nidempotency-key: hostile\r\n\
             content-type: application/json\r\ncontent-length: 1000\r\n\r\n{{",
            operation.name
        )
    });
    // A warm-up, after which the memory no longer grows by itself.
    round(&caller).await;

    let (mut p50, mut p99, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    let (mut requests, mut failed) = (0, Vec::new());
    for _ in 0..ROUNDS {
        let (quiet, quiet_kib) = (round(&caller).await, server.resident_kib());
        let hostile = hostile(&server, &upload)?;
        tokio::time::sleep(SETTLE).await;
        let (disturbed, disturbed_kib) = (round(&caller).await, server.resident_kib());
        drop(hostile);
        tokio::time::sleep(SETTLE).await;
        requests += disturbed.len();
        failed.extend(disturbed.iter().filter(|outcome| !outcome.is_ok()).cloned());
        p50.push(ratio(&disturbed, &quiet, 50));
        p99.push(ratio(&disturbed, &quiet, 99));
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
fn hostile(server: &Server, upload: &str) -> Result<JoinSet<()>, Failure> {
    let address: SocketAddr = server.public.trim_start_matches("http://").parse()?;
    let mut peers = JoinSet::new();
    for index in 0..CONNECTIONS {
        let (sends, reads) = PEERS[index % PEERS.len()];
        let sends = if sends == UPLOAD { upload } else { sends }.to_owned();
        peers.spawn(async move {
            loop {
                // The service may refuse or reset the connection.
                let _ = attack(address, &sends, reads).await;
                tokio::time::sleep(RETURNS_AFTER).await;
            }
        });
    }
    Ok(peers)
}

async fn attack(address: SocketAddr, sends: &str, reads: bool) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    if !reads {
        let requests = sends.repeat(UNREAD_RESPONSES);
        let written = stream.write_all(requests.as_bytes());
        let _ = tokio::time::timeout(UNREAD_FOR, written).await;
        tokio::time::sleep(UNREAD_FOR).await;
        return Ok(());
    }
    stream.write_all(sends.as_bytes()).await?;
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// How many times as long a percentile is when `disturbed`.
fn ratio(disturbed: &[Outcome], quiet: &[Outcome], percent: usize) -> f64 {
    let seconds = |outcomes| percentile(outcomes, percent).unwrap_or_default().as_secs_f64();
    seconds(disturbed) / seconds(quiet)
}
