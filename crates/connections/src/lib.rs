//! Connections of clients. A slow or silent peer must not hold a connection forever, and a full server must not refuse
//! a client because of idle connections.
//!
//! The HTTP library limits the time for the first head of a connection only. [`Stream`] wraps the socket, so that the
//! other waits are limited too: for the rest of a later head, between requests, and for the client to accept the
//! response. One task per serving thread checks all of its connections four times a second, which costs a request
//! nothing. The same task shows that its thread makes progress ([`Heartbeats`]). [`client_address()`] finds the client of a
//! connection that comes from a proxy.

mod client_address;
mod connection;
mod heartbeat;
mod metrics;
mod pool;
mod stream;

pub use client_address::{ForwardedHeader, TrustedProxies, client_address, is_trusted, network};
pub use connection::{Busy, Connection};
pub use heartbeat::{Heartbeat, Heartbeats};
pub use metrics::ConnectionMetrics;
pub use pool::{Connections, Limits};
pub use stream::Stream;
