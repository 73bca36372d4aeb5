//! The [rustls](https://docs.rs/rustls) backend of polytls.
//!
//! Applications choose it with the feature `rustls` of `polytls`. This crate itself is for those who
//! want a certain provider of cryptography, or who have a rustls configuration already.
//!
//! | feature | gives |
//! |---|---|
//! | `aws-lc-rs` (default) | the backend `rustls` on aws-lc-rs |
//! | `ring` | the backend on *ring*: named `rustls`, or `rustls-ring` when aws-lc-rs is there too |
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
pub mod convert;
mod error;
mod identity;
mod server;
mod session;
mod trust;

pub use backend::{Rustls, backend};

#[cfg(feature = "aws-lc-rs")]
pub use backend::aws_lc_rs;
#[cfg(feature = "ring")]
pub use backend::ring;

/// The version of rustls that the conversions take.
pub use rustls;
