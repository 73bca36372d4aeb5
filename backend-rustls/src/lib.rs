//! rustls as a backend of `polytls`.
//!
//! Applications choose it by the feature `rustls` of `polytls` and do not name this crate. It is for
//! those who want a certain provider of cryptography, or who have a ready [`rustls::ClientConfig`] or
//! [`rustls::ServerConfig`]: see [`connector()`] and [`acceptor()`].
//!
//! | feature | gives |
//! |---|---|
//! | `aws-lc-rs` (default) | the backend `rustls`, on aws-lc-rs |
//! | `ring` | the backend `rustls-ring`, on *ring* |
//! | `prefer-post-quantum` | the post-quantum key exchange is offered first (aws-lc-rs) |
//!
//! The provider is always passed to rustls explicitly: the default of the process is neither read
//! nor set.
#![forbid(unsafe_code)]

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!(
    "polytls-rustls needs a provider of cryptography: enable its feature `aws-lc-rs` or `ring`"
);

mod backend;
mod client;
mod convert;
mod error;
mod identity;
mod server;
mod session;
mod signatures;
mod trust;

#[cfg(feature = "aws-lc-rs")]
pub use backend::aws_lc_rs;
#[cfg(feature = "ring")]
pub use backend::ring;
pub use backend::{Rustls, backend};
pub use convert::{acceptor, connector};

/// The library beneath, in the version that the conversions take.
pub use rustls;
