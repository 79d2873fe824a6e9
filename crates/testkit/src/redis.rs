//! Faults injected into the Redis server itself. All tests of a process share the server, so a test that injects a
//! fault has exclusive use of it.

use std::sync::LazyLock;

use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock},
};

static SERVER: LazyLock<Arc<RwLock<()>>> = LazyLock::new(Arc::default);

/// Waits until the server has no injected fault, and keeps it so while the guard is held.
pub async fn redis_guard() -> OwnedRwLockReadGuard<()> {
    SERVER.clone().read_owned().await
}

/// An injected fault that makes the server reject writes; removed on drop.
#[derive(Debug)]
pub struct RedisFault {
    address: String,
    undo: &'static str,
    _exclusive: OwnedRwLockWriteGuard<()>,
}

impl RedisFault {
    /// Makes the server run out of memory: it rejects writes with `OOM`.
    pub async fn out_of_memory(address: &str) -> Self {
        Self::inject(
            address,
            "CONFIG SET maxmemory 1\r\n",
            "CONFIG SET maxmemory 0\r\n",
        )
        .await
    }

    /// Makes the server a replica: it rejects writes with `READONLY`.
    pub async fn read_only(address: &str) -> Self {
        Self::inject(address, "REPLICAOF 127.0.0.1 1\r\n", "REPLICAOF NO ONE\r\n").await
    }

    async fn inject(address: &str, command: &str, undo: &'static str) -> Self {
        let exclusive = SERVER.clone().write_owned().await;
        let mut stream = TcpStream::connect(address)
            .await
            .expect("Redis is running; see `make test`");
        stream
            .write_all(command.as_bytes())
            .await
            .expect("the command is sent");
        let mut reply = [0; 64];
        let length = stream.read(&mut reply).await.expect("Redis replies");
        assert!(
            reply.starts_with(b"+OK"),
            "{}",
            String::from_utf8_lossy(&reply[..length])
        );
        Self {
            address: address.to_owned(),
            undo,
            _exclusive: exclusive,
        }
    }
}

impl Drop for RedisFault {
    fn drop(&mut self) {
        use std::io::{Read, Write};
        let undone = std::net::TcpStream::connect(&self.address).and_then(|mut stream| {
            stream.write_all(self.undo.as_bytes())?;
            stream.read(&mut [0; 64])
        });
        undone.expect("Redis accepts the command that removes the fault");
    }
}
