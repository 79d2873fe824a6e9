//! A TCP proxy that cuts, pauses, delays or throttles connections, and counts round trips.

#![expect(clippy::disallowed_methods, reason = "a test ends with its tasks")]

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
    /// Forwards everything.
    Pass,
    /// Closes open connections, and new ones immediately.
    Cut,
    /// Forwards nothing; connections stay open.
    Pause,
    /// Forwards everything after this delay.
    Delay(Duration),
    /// Forwards this many bytes per second.
    Throttle(u32),
}

/// A proxy in front of one server. It stops with the runtime that started it.
#[derive(Debug)]
pub struct Proxy {
    /// The socket address of the proxy.
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
    round_trips: Arc<AtomicU64>,
    accepted: Arc<AtomicU64>,
}

impl Proxy {
    /// Starts a proxy that listens on a free port and forwards everything to `server`.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (mode, watched) = watch::channel(Mode::Pass);
        let (round_trips, accepted) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (trips, connections) = (round_trips.clone(), accepted.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                if *watched.borrow() != Mode::Cut {
                    tokio::spawn(connect(client, server, watched.clone(), trips.clone()));
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

    /// The number of connections that clients have opened.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Starts a proxy in front of the server in `url`; returns the URL that leads through the proxy.
    ///
    /// # Panics
    /// When `url` does not name a host that resolves.
    pub async fn before(url: &str) -> (Self, String) {
        let proxy = Self::to(address_of(url)).await;
        let mut url = Url::parse(url).expect("a URL");
        url.set_host(Some("127.0.0.1"))
            .expect("a URL with a host can have another host");
        url.set_port(Some(proxy.address.port()))
            .expect("a URL with a host can have a port");
        (proxy, url.into())
    }

    /// Changes the mode from now on, for open and new connections.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// The number of times that a client sent data and the server replied.
    pub fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::SeqCst)
    }
}

/// The socket address of the server in a URL.
pub fn address_of(url: &str) -> SocketAddr {
    let url = Url::parse(url).expect("a URL");
    let port = url
        .port()
        .unwrap_or(if url.scheme() == "redis" { 6379 } else { 5432 });
    let host = url
        .host_str()
        .expect("a URL with a host, not a socket file")
        .to_owned();
    std::net::ToSocketAddrs::to_socket_addrs(&(host, port))
        .expect("the host resolves")
        .next()
        .expect("a resolved host has an address")
}

async fn connect(client: TcpStream, server: SocketAddr, mode: watch::Receiver<Mode>, trips: Arc<AtomicU64>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let awaiting_reply = Arc::new(AtomicBool::new(false));
    let sent = awaiting_reply.clone();
    let up = pump(from_client, to_server, mode.clone(), move || {
        sent.store(true, Ordering::SeqCst);
    });
    let down = pump(from_server, to_client, mode, move || {
        if awaiting_reply.swap(false, Ordering::SeqCst) {
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
    on_forward: impl Fn(),
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
        on_forward();
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
