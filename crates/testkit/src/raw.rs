//! Hand-written HTTP, for requests that no client library would send.

#![expect(clippy::disallowed_methods, reason = "a test ends with its tasks")]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

/// A connection on which the test chooses every byte.
#[derive(Debug)]
pub struct RawConnection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A response as received.
#[derive(Debug)]
pub struct RawResponse {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

/// Starts a server that sends the same bytes in response to every request; returns its port, and the requests as they
/// arrive.
///
/// # Panics
/// When no port is free.
pub async fn stub_server(response: &'static str) -> (u16, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let (requests, received) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap_or_default();
            let _ = requests.send(String::from_utf8_lossy(&request[..length]).into_owned());
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    (port, received)
}

impl RawConnection {
    /// Opens a connection.
    ///
    /// # Panics
    /// When no server listens at `address`.
    pub async fn open(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.expect("a server listens"),
            received: Vec::new(),
        }
    }

    /// Sends bytes; returns whether the connection still accepted them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Reads one response, with the body that `Content-Length` announces.
    ///
    /// # Panics
    /// When there is no complete response within 10 s, or the connection closes before.
    pub async fn response(&mut self) -> RawResponse {
        let reading = async {
            loop {
                if let Some(response) = self.take_response() {
                    return response;
                }
                let mut buffer = [0; 4096];
                match self.stream.read(&mut buffer).await {
                    Ok(length @ 1..) => self.received.extend_from_slice(&buffer[..length]),
                    _ => panic!("closed after {:?}", String::from_utf8_lossy(&self.received)),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), reading)
            .await
            .expect("a response within 10 s")
    }

    fn take_response(&mut self) -> Option<RawResponse> {
        let head_end = self
            .received
            .windows(4)
            .position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&self.received[..head_end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: HeaderMap = lines
            .filter_map(|line| line.split_once(": "))
            .filter_map(|(name, value)| {
                Some((
                    name.parse::<HeaderName>().ok()?,
                    HeaderValue::from_str(value).ok()?,
                ))
            })
            .collect();
        let length: usize = headers
            .get("content-length")
            .map_or(Some(0), |value| value.to_str().ok()?.parse().ok())?;
        let body = self.received.get(head_end + 4..head_end + 4 + length)?;
        let body = String::from_utf8_lossy(body).into_owned();
        self.received.drain(..head_end + 4 + length);
        Some(RawResponse {
            status,
            headers,
            body,
        })
    }

    /// Waits until the server closes the connection; returns the time that this took.
    ///
    /// # Panics
    /// After 10 s.
    pub async fn closed(&mut self) -> Duration {
        let started = Instant::now();
        let reading = async {
            let mut buffer = [0; 4096];
            while matches!(self.stream.read(&mut buffer).await, Ok(1..)) {}
        };
        tokio::time::timeout(Duration::from_secs(10), reading)
            .await
            .expect("closed within 10 s");
        started.elapsed()
    }

    /// Sends `chunk` repeatedly, with a pause after each, until the server closes the connection; returns the time that
    /// this took.
    ///
    /// # Panics
    /// After 10 s.
    pub async fn upload_until_closed(&mut self, chunk: &[u8], pause: Duration) -> Duration {
        let started = Instant::now();
        let (mut reading, mut writing) = self.stream.split();
        let write = async {
            while writing.write_all(chunk).await.is_ok() {
                tokio::time::sleep(pause).await;
            }
        };
        let read = async {
            let mut buffer = [0; 4096];
            while matches!(reading.read(&mut buffer).await, Ok(1..)) {}
        };
        let closed = async {
            tokio::select! { () = write => {}, () = read => {} }
        };
        tokio::time::timeout(Duration::from_secs(10), closed)
            .await
            .expect("closed within 10 s");
        started.elapsed()
    }

    /// Closes the connection in the ordinary way (FIN), as a client that gives up would.
    ///
    /// # Panics
    /// When the connection is already closed.
    pub async fn close(mut self) {
        self.stream.shutdown().await.expect("an open connection");
    }

    /// Closes the connection with a reset (RST), as a client that crashes would.
    ///
    /// # Panics
    /// When the socket option cannot be set.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("an open socket");
    }
}
