//! Faults of the Redis server itself. The server is shared by all tests of a process, so a test that makes
//! it faulty has it alone.

use std::sync::LazyLock;

use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock},
};

static SERVER: LazyLock<Arc<RwLock<()>>> = LazyLock::new(Arc::default);

/// While this is held, no test makes the server faulty.
pub async fn redis_undisturbed() -> OwnedRwLockReadGuard<()> {
    SERVER.clone().read_owned().await
}

/// The server refuses writes until this is dropped.
#[derive(Debug)]
pub struct RedisFault {
    address: String,
    undo: &'static str,
    _alone: OwnedRwLockWriteGuard<()>,
}

impl RedisFault {
    /// No memory is left: writes are answered with `OOM`.
    pub async fn out_of_memory(address: &str) -> Self {
        Self::provoke(
            address,
            "CONFIG SET maxmemory 1\r\n",
            "CONFIG SET maxmemory 0\r\n",
        )
        .await
    }

    /// The server is a replica: writes are answered with `READONLY`.
    pub async fn read_only(address: &str) -> Self {
        Self::provoke(address, "REPLICAOF 127.0.0.1 1\r\n", "REPLICAOF NO ONE\r\n").await
    }

    async fn provoke(address: &str, command: &str, undo: &'static str) -> Self {
        let alone = SERVER.clone().write_owned().await;
        let mut stream = TcpStream::connect(address)
            .await
            .expect("Redis is there; see `make test`");
        stream.write_all(command.as_bytes()).await.expect("Redis listens");
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).await.expect("Redis answers");
        assert!(
            answer.starts_with(b"+OK"),
            "{}",
            String::from_utf8_lossy(&answer[..length])
        );
        Self {
            address: address.to_owned(),
            undo,
            _alone: alone,
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
        undone.expect("Redis takes the fault back");
    }
}
