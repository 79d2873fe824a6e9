//! The drill `proxy-idle-reuse`: requests through nginx on connections to the service that have been idle for about as
//! long as one of the two keeps them: 5 s, the time limit for a head; 60 s, after which nginx closes them; 75 s, after
//! which the service does. A connection that the service closes while nginx uses it is a 502 that no log of the service
//! shows.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reqwest::Client;

use crate::{Failure, environment::Environment};

/// `http.ingress_idle_timeout`, after which nginx closes an idle connection.
const PROXY_IDLE: &str = "60s";
/// `http.keep_alive`, after which the service closes it.
const SERVICE_IDLE: &str = "75s";
/// For each cluster of idle times: its middle in seconds, the requests on each connection, and the connections.
const CLUSTERS: [(u32, usize, usize); 3] = [(5, 40, 20), (60, 5, 120), (75, 4, 150)];
/// Idle times differ from the middle of their cluster by at most this, a second.
const SPREAD: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(8);

/// nginx, stopped on drop, and its folder.
struct Proxy {
    process: Child,
    folder: PathBuf,
    ports: Vec<u16>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Starts the service and nginx, sends the requests and prints the failures per cluster. An error if there are any.
pub(crate) async fn run(binary: &Path) -> Result<(), Failure> {
    let environment = Environment::new(binary)
        .await
        .set("http.ingress_idle_timeout", PROXY_IDLE)
        .set("http.keep_alive", SERVICE_IDLE);
    let service = environment.serve().await?;
    let proxy = proxy(service.public.trim_start_matches("http://"))?;
    let began = Instant::now();
    let mut ports = proxy.ports.as_slice();
    let clusters = CLUSTERS.iter().map(|(middle, rounds, connections)| {
        let (own, others) = ports.split_at(*connections);
        ports = others;
        requests(*middle, *rounds, own)
    });
    let results = join_all(clusters).await;
    let mut failed = 0;
    for ((middle, ..), result) in CLUSTERS.iter().zip(results) {
        let result = result?;
        let failures: Vec<&String> = result.iter().filter(|result| *result != "200").collect();
        println!(
            "idle for {middle} ± 1 s: {} requests, {} failed {failures:?}",
            result.len(),
            failures.len()
        );
        failed += failures.len();
    }
    println!("took {} s", began.elapsed().as_secs());
    if failed == 0 {
        Ok(())
    } else {
        Err(format!("{failed} requests failed").into())
    }
}

/// Sends the requests of a cluster: on each connection one after the other, each after an idle time of its own.
async fn requests(middle: u32, rounds: usize, ports: &[u16]) -> Result<Vec<String>, Failure> {
    // Its own connections to nginx must not be part of the result.
    let client = Client::builder()
        .timeout(TIMEOUT)
        .pool_max_idle_per_host(0)
        .build()?;
    let connections = ports.iter().enumerate().map(|(index, port)| {
        let request = client.get(format!("http://127.0.0.1:{port}/info"));
        async move {
            let mut results = Vec::new();
            for round in 0..rounds {
                if round > 0 {
                    // Evenly spread over the cluster, in another order each round.
                    let place = u32::try_from((index * 7 + round * 13) % ports.len()).unwrap_or_default();
                    let offset = SPREAD * 2 * place / u32::try_from(ports.len()).unwrap_or(1);
                    tokio::time::sleep(SPREAD * (middle - 1) + offset).await;
                }
                let request = request.try_clone().expect("it has no body");
                results.push(match request.send().await {
                    Ok(response) => response.status().as_u16().to_string(),
                    Err(error) => error.to_string(),
                });
            }
            results
        }
    });
    Ok(join_all(connections).await.concat())
}

/// Starts nginx in front of the service at `address`, with a port and a pool of one connection for each
/// connection of the drill, so that it is idle for exactly as long as nothing is sent to its port. nginx sends a request once, whatever happens to it.
fn proxy(address: &str) -> Result<Proxy, Failure> {
    let folder = std::env::temp_dir().join(format!("proxy-{}", uuid::Uuid::new_v4().simple()));
    fs::create_dir(&folder)?;
    let place = folder.display();
    let connections = CLUSTERS.iter().map(|(.., connections)| connections).sum();
    let listeners = (0..connections).map(|_| TcpListener::bind("127.0.0.1:0"));
    let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
    let ports = listeners.iter().map(|listener| Ok(listener.local_addr()?.port()));
    let ports = ports.collect::<Result<Vec<u16>, std::io::Error>>()?;
    drop(listeners);
    let servers = ports.iter().map(|port| {
        format!(
            "upstream pool{port} {{ server {address}; keepalive 1; keepalive_timeout {PROXY_IDLE}; \
             keepalive_requests 100000; }}\n\
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://pool{port}; proxy_http_version 1.1; \
             proxy_set_header Connection ''; proxy_next_upstream off; }} }}\n"
        )
    });
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|name| format!("{name}_temp_path {place}/{name};"));
    let configuration = format!(
        "daemon off; worker_processes 1; pid {place}/pid; error_log stderr error;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; {}\n{} }}\n",
        temporary.concat(),
        servers.collect::<String>()
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration)?;
    let started = Command::new("nginx")
        .arg("-c")
        .arg(&file)
        .stdin(Stdio::null())
        .spawn();
    let process = started.map_err(|error| format!("nginx does not start; is it installed? {error}"))?;
    let proxy = Proxy {
        process,
        folder,
        ports,
    };
    let began = Instant::now();
    while proxy
        .ports
        .iter()
        .any(|port| std::net::TcpStream::connect(("127.0.0.1", *port)).is_err())
    {
        if began.elapsed() > TIMEOUT {
            return Err("nginx does not listen; the reason is above".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(proxy)
}
