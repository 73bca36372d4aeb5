//! OpenSSL as a backend of `polytls`, through the crate [`openssl`].
//!
//! Applications choose it by the feature `openssl` of `polytls` and do not name this crate. It is for
//! those who have a ready [`SslConnector`](openssl::ssl::SslConnector) or
//! [`SslAcceptor`](openssl::ssl::SslAcceptor): see [`connector()`] and [`acceptor()`].
//!
//! | feature | gives |
//! |---|---|
//! | `vendored` | OpenSSL built from source and linked in, instead of the system's |
// Not `forbid`: resuming a session takes the one exception, in `client`.
#![deny(unsafe_code)]

mod backend;
mod cache;
mod client;
mod convert;
mod error;
mod identity;
mod server;
mod session;
mod trust;

pub use backend::backend;
pub use convert::{acceptor, connector};

/// The library beneath, in the version that the conversions take.
pub use openssl;
