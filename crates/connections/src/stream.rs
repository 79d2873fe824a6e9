//! The socket of a connection.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{Connection, pool::Membership};

/// A socket whose waits are limited, and that its [`Connections`](crate::Connections) can close.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    connection: Connection,
    _membership: Membership,
}

impl Stream {
    pub(crate) fn new(socket: TcpStream, connection: Connection, membership: Membership) -> Self {
        Self {
            socket,
            connection,
            _membership: membership,
        }
    }

    /// The connection, for its requests.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The address of the client.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.socket.peer_addr().ok()
    }

    /// Notes whether the client accepted a part of the response; an error if the connection is being closed.
    fn sent(&self, context: &Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.connection.sent(result.is_ready());
        if result.is_pending() {
            if self.connection.is_closing() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.connection.wake_with(context);
        }
        result
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A request that arrives now would only be aborted.
        if self.connection.is_closing() {
            return Poll::Ready(Ok(())); // the end of the stream
        }
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.socket).poll_read(context, buffer);
        if result.is_pending() {
            self.connection.wake_with(context);
        } else if buffer.filled().len() > before {
            self.connection.received();
        }
        result
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.sent(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.sent(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
