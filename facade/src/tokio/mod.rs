//! The same functions, the same behaviour, asynchronous: on tokio.
//!
//! ```no_run
//! use polytls::ConnectOptions;
//! use polytls::tokio::ssl_connect;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut stream = ssl_connect("example.com:443", ConnectOptions::new()).await?;
//! stream.write_all(b"GET / HTTP/1.0\r\nHost: example.com\r\n\r\n").await?;
//! let mut page = String::new();
//! stream.read_to_string(&mut page).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Contexts, options and errors are those of the blocking side; the state machine between them and
//! the transport is the same [`Connection`](crate::Connection). Deadlines are kept by tokio's clock,
//! so the runtime needs its timer.

// | file | holds |
// |---|---|
// | `connect` | `ssl_connect` and the two sides of an upgrade |
// | `listen` | `ssl_listen`, `TlsListener`, and handshakes run inside it |
// | `stream` | `TlsStream`: what tokio polls |
// | `drive` | moving bytes between a connection and its transport, by polling |
// | `wake` | whom to wake when the transport is ready |
mod connect;
mod drive;
mod listen;
mod stream;
mod wake;

pub use connect::{
    ssl_client_upgrade, ssl_connect, ssl_server_upgrade, ssl_server_upgrade_with, unbuffer,
};
pub use listen::{HandshakeFailure, HandshakenListener, Listener, TlsListener, ssl_listen};
pub use stream::TlsStream;

/// The time by tokio's clock, which a test may have paused.
fn now() -> std::time::Instant {
    ::tokio::time::Instant::now().into_std()
}
