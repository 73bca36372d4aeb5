//! OpenSSL as a backend of `polytls`, through the crate [`openssl`].
//!
//! Applications enable the feature `openssl` of `polytls` and do not name this crate. It is for
//! those who have a ready [`SslConnector`](openssl::ssl::SslConnector) or
//! [`SslAcceptor`](openssl::ssl::SslAcceptor): see [`connector()`] and [`acceptor()`].
//!
//! | file | holds |
//! |---|---|
//! | `backend` | what it can do; what client and server contexts share |
//! | `client` | client contexts |
//! | `cache` | the sessions that they resume |
//! | `server` | server contexts |
//! | `session` | one connection over the lent wire |
//! | `identity` | certificate chain and private key |
//! | `trust` | anchors, and the last word on a peer's certificate |
//! | `error` | OpenSSL's error queue as one error |
//! | `convert` | ready contexts of the crate `openssl` |
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

/// The version of the crate `openssl` that the conversions take.
pub use openssl;
