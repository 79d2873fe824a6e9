//! A TCP proxy that cuts, pauses, delays and throttles, and counts round trips.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::Url;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What the proxy does to connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Everything passes.
    Pass,
    /// Open connections are closed, new ones at once.
    Cut,
    /// Nothing passes, connections stay open.
    Pause,
    /// Everything passes this much later.
    Delay(Duration),
    /// So many bytes pass per second.
    Throttle(u32),
}

/// A proxy in front of one server. It ends with the runtime it was made in.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
    round_trips: Arc<AtomicU64>,
    accepted: Arc<AtomicU64>,
}

impl Proxy {
    /// Listens on a free port and passes everything to `server`.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (mode, watched) = watch::channel(Mode::Pass);
        let (round_trips, accepted) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (counter, arrived) = (round_trips.clone(), accepted.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                arrived.fetch_add(1, Ordering::SeqCst);
                if *watched.borrow() != Mode::Cut {
                    tokio::spawn(connect(client, server, watched.clone(), counter.clone()));
                }
            }
        });
        Self {
            address,
            mode,
            round_trips,
            accepted,
        }
    }

    /// How many connections have been opened to it.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }

    /// As [`to`](Self::to), for the server of this address; gives the address that leads through the proxy.
    ///
    /// # Panics
    /// When it is no address over TCP.
    pub async fn before(url: &str) -> (Self, String) {
        let proxy = Self::to(address_of(url)).await;
        let mut url = Url::parse(url).expect("an address");
        url.set_host(Some("127.0.0.1"))
            .expect("an address can have a host");
        url.set_port(Some(proxy.address.port()))
            .expect("an address can have a port");
        (proxy, url.into())
    }

    /// From now on, for open and new connections.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// How often the client spoke and the server answered.
    pub fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::SeqCst)
    }
}

/// Where the server of an address listens.
pub(crate) fn address_of(url: &str) -> SocketAddr {
    let url = Url::parse(url).expect("an address");
    let port = url
        .port()
        .unwrap_or(if url.scheme() == "redis" { 6379 } else { 5432 });
    let host = url
        .host_str()
        .expect("an address over TCP, not a socket file")
        .to_owned();
    std::net::ToSocketAddrs::to_socket_addrs(&(host, port))
        .expect("a known host")
        .next()
        .expect("an address")
}

async fn connect(client: TcpStream, server: SocketAddr, mode: watch::Receiver<Mode>, trips: Arc<AtomicU64>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let asked = Arc::new(AtomicBool::new(false));
    let asking = asked.clone();
    let up = pump(from_client, to_server, mode.clone(), move || {
        asking.store(true, Ordering::SeqCst)
    });
    let down = pump(from_server, to_client, mode, move || {
        if asked.swap(false, Ordering::SeqCst) {
            trips.fetch_add(1, Ordering::SeqCst);
        }
    });
    // When one direction ends, both streams are closed.
    tokio::select! { () = up => {}, () = down => {} }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut mode: watch::Receiver<Mode>,
    passed: impl Fn(),
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            _ = mode.wait_for(|mode| *mode == Mode::Cut) => return,
        };
        let Ok(length @ 1..) = read else { return };
        if mode.wait_for(|mode| *mode != Mode::Pause).await.is_err() {
            return;
        }
        let now = *mode.borrow();
        match now {
            Mode::Cut => return,
            Mode::Delay(delay) => tokio::time::sleep(delay).await,
            Mode::Throttle(per_second) => {
                tokio::time::sleep(Duration::from_secs_f64(length as f64 / f64::from(per_second))).await;
            }
            Mode::Pass | Mode::Pause => {}
        }
        passed();
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
